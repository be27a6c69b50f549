//! A model file that says itself which layout it is of: safetensors with the tensors in order, with scopes and types,
//! in its metadata. What a run of a model that only its trainer knows begins with.

use std::path::Path;
use std::sync::Arc;

use commonweal_core::{ExportType, Layout, Parameters, Scope, TensorSpec};
use safetensors::tensor::{Dtype, Metadata, SafeTensors};

use crate::model_file::{ModelFileError, model_bytes, parse_model};

/// Key of the layout in the file's metadata: a JSON list of tensors as a worker declares them.
const LAYOUT: &str = "commonweal.layout";

/// The bytes of a model with its layout.
///
/// # Errors
/// [`ModelFileError::Format`]: a tensor's name is none that the format takes.
pub fn declare_model(model: &Parameters) -> Result<Vec<u8>, ModelFileError> {
    let path = Path::new("the model");
    let tensors = model.layout().tensors().iter();
    let specs: Vec<TensorSpec> = tensors.map(TensorSpec::from).collect();
    let layout = serde_json::to_string(&specs).map_err(|error| ModelFileError::Declaration {
        path: path.to_path_buf(),
        what: error.to_string(),
    })?;
    model_bytes(path, model, Some((LAYOUT, layout)))
}

/// Reads a model of whatever layout, from bytes that came from `path`. Of a file that does not say its layout every
/// tensor is shared, and they lie in the order of the file.
///
/// # Errors
/// [`ModelFileError`]: no safetensors, tensors that are not those declared, a value that is not finite.
pub fn parse_declared(path: &Path, bytes: &[u8]) -> Result<Parameters, ModelFileError> {
    let format = |what: String| ModelFileError::Format {
        path: path.to_path_buf(),
        what,
    };
    let (_, metadata) =
        SafeTensors::read_metadata(bytes).map_err(|error| format(error.to_string()))?;
    let said = metadata.metadata().as_ref();
    let specs = match said.and_then(|said| said.get(LAYOUT)) {
        Some(text) => serde_json::from_str(text).map_err(|error| ModelFileError::Declaration {
            path: path.to_path_buf(),
            what: error.to_string(),
        })?,
        None => shared(&metadata),
    };
    let layout = Layout::new(specs).map_err(|source| ModelFileError::Layout {
        path: path.to_path_buf(),
        source,
    })?;
    parse_model(path, bytes, &Arc::new(layout))
}

fn shared(metadata: &Metadata) -> Vec<TensorSpec> {
    let names = metadata.offset_keys().into_iter();
    let specs = names.filter_map(|name| {
        let info = metadata.info(&name)?;
        Some(TensorSpec {
            shape: info.shape.clone(),
            scope: Scope::Shared,
            export: match info.dtype {
                Dtype::I64 => ExportType::I64,
                _ => ExportType::F32,
            },
            name,
        })
    });
    specs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Parameters {
        let spec = |name: &str, shape: &[usize], scope, export| TensorSpec {
            name: name.to_owned(),
            shape: shape.to_vec(),
            scope,
            export,
        };
        let specs = vec![
            spec("z.weight", &[2, 2], Scope::Shared, ExportType::F32),
            spec("norm.steps", &[], Scope::Local, ExportType::I64),
            spec("a.bias", &[2], Scope::Shared, ExportType::F32),
        ];
        let layout = Arc::new(Layout::new(specs).unwrap());
        let values = vec![0.5, -1.0, 2.0, 3.0, 4.0, 5.0, 7.0];
        Parameters::new(layout, values).unwrap()
    }

    fn parse(bytes: &[u8]) -> Result<Parameters, ModelFileError> {
        parse_declared(Path::new("m"), bytes)
    }

    /// A file whose declaration was exchanged.
    fn declaring(text: &str) -> Vec<u8> {
        model_bytes(Path::new("m"), &model(), Some((LAYOUT, text.to_owned()))).unwrap()
    }

    #[test]
    fn a_declared_model_comes_back_in_its_own_order_with_scopes_and_types() {
        let back = parse(&declare_model(&model()).unwrap()).unwrap();
        assert_eq!(back, model());
        assert_eq!(back.layout().digest(), model().layout().digest());
    }

    #[test]
    fn a_file_of_another_program_is_a_model_of_shared_tensors_in_its_order() {
        let bytes = model_bytes(Path::new("m"), &model(), None).unwrap();
        let back = parse(&bytes).unwrap();
        assert_eq!(back.layout().shared_len(), model().layout().len());
        assert_eq!(back.tensor("z.weight"), Some(&[0.5, -1.0, 2.0, 3.0][..]));
        assert_ne!(back.layout().digest(), model().layout().digest());
    }

    #[test]
    fn a_declaration_that_the_tensors_do_not_keep_is_refused() {
        let shape = declaring(
            r#"[{"name":"z.weight","shape":[4000000000],"scope":"shared","export":"f32"},
                {"name":"norm.steps","shape":[],"scope":"local","export":"i64"},
                {"name":"a.bias","shape":[2],"scope":"shared","export":"f32"}]"#,
        );
        assert!(matches!(parse(&shape), Err(ModelFileError::Shape { .. })));
        let fewer = declaring(r#"[{"name":"a.bias","shape":[2],"scope":"shared","export":"f32"}]"#);
        assert!(matches!(
            parse(&fewer),
            Err(ModelFileError::UnknownTensor { .. })
        ));
        for text in ["", "{}", "[1]"] {
            let error = parse(&declaring(text)).unwrap_err();
            assert!(
                matches!(error, ModelFileError::Declaration { .. }),
                "{error}"
            );
        }
        assert!(matches!(
            parse(&declaring("[]")),
            Err(ModelFileError::UnknownTensor { .. } | ModelFileError::Layout { .. })
        ));
    }

    #[test]
    fn every_cut_of_a_file_and_every_value_that_is_no_number_is_refused() {
        let bytes = declare_model(&model()).unwrap();
        for cut in 0..bytes.len() {
            assert!(parse(&bytes[..cut]).is_err(), "{cut}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(parse(&longer), Err(ModelFileError::Format { .. })));
        let mut broken = model();
        broken.values_mut()[1] = f32::INFINITY;
        let error = parse(&declare_model(&broken).unwrap()).unwrap_err();
        assert!(matches!(error, ModelFileError::NonFinite { .. }), "{error}");
    }
}
