//! `model.safetensors`: a model's parameters under the names and shapes of PyTorch's `state_dict`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use commonweal_core::{ExportType, Layout, LayoutError, Parameters, Tensor};
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};

use crate::file::{self, FileError};

/// Why a model file was not written or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// No safetensors file.
    #[error("{} is no safetensors file: {what}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the format's parser says.
        what: String,
    },
    /// The model has a tensor that the file does not have.
    #[error("{} has no tensor {name:?}, which this model needs; it has {found}", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The names in the file.
        found: String,
    },
    /// The file has a tensor that the model does not have.
    #[error("{} has a tensor {name:?} that this model does not have", path.display())]
    UnknownTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor has another shape.
    #[error("{}: tensor {name:?} has the shape {found:?}; this model needs {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Shape in the model.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor has an element type that cannot become `f32`.
    #[error("{}: tensor {name:?} is of type {found}; F32, F64 and I64 can be read", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// A value is NaN or infinite.
    #[error("{}: tensor {name:?} has a value that is not a finite number", path.display())]
    NonFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// What the file says of its layout is none.
    #[error("{} says what its tensors are, in its metadata, in a way that cannot be read: {what}", path.display())]
    Declaration {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The tensors make no model.
    #[error("{}: {source}", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: LayoutError,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Writes all tensors, whole file or nothing.
///
/// # Errors
/// [`ModelFileError::File`].
pub fn save_model(path: &Path, model: &Parameters) -> Result<(), ModelFileError> {
    Ok(file::write_bytes(path, &model_bytes(path, model, None)?)?)
}

/// The bytes of a file of all tensors, for `path`.
pub(crate) fn model_bytes(
    path: &Path,
    model: &Parameters,
    metadata: Option<(&str, String)>,
) -> Result<Vec<u8>, ModelFileError> {
    let tensors: Vec<(&Tensor, Vec<u8>)> = model
        .layout()
        .tensors()
        .iter()
        .map(|tensor| (tensor, encode(tensor, &model.values()[tensor.range()])))
        .collect();
    let format = |error: SafeTensorError| ModelFileError::Format {
        path: path.to_path_buf(),
        what: error.to_string(),
    };
    let views = tensors
        .iter()
        .map(|(tensor, bytes)| {
            let view = TensorView::new(dtype(tensor.export), tensor.shape.clone(), bytes)?;
            Ok((tensor.name.as_str(), view))
        })
        .collect::<Result<Vec<_>, SafeTensorError>>()
        .map_err(format)?;
    let metadata = metadata.map(|(key, text)| [(key.to_owned(), text)].into_iter().collect());
    safetensors::serialize(views, metadata).map_err(format)
}

/// Reads a model of this layout: every tensor of the layout and no other.
///
/// # Errors
/// [`ModelFileError`], naming the tensor that does not fit.
pub fn load_model(path: &Path, layout: &Arc<Layout>) -> Result<Parameters, ModelFileError> {
    let bytes = file::read_bytes(path)?;
    parse_model(path, &bytes, layout)
}

/// As [`load_model`], of bytes that were read from `path`.
///
/// # Errors
/// [`ModelFileError`].
pub fn parse_model(
    path: &Path,
    bytes: &[u8],
    layout: &Arc<Layout>,
) -> Result<Parameters, ModelFileError> {
    let path = path.to_path_buf();
    let file = SafeTensors::deserialize(bytes).map_err(|error| ModelFileError::Format {
        path: path.clone(),
        what: error.to_string(),
    })?;
    if let Some(name) = file
        .names()
        .into_iter()
        .find(|name| layout.tensor(name).is_none())
    {
        return Err(ModelFileError::UnknownTensor {
            path,
            name: name.to_owned(),
        });
    }
    // All shapes before any value: memory follows what the file holds and not what the layout asks for.
    let mut views = Vec::with_capacity(layout.tensors().len());
    for tensor in layout.tensors() {
        let name = tensor.name.clone();
        let Ok(view) = file.tensor(&name) else {
            let found = file.names().join(", ");
            return Err(ModelFileError::MissingTensor { path, name, found });
        };
        if view.shape() != tensor.shape {
            let (expected, found) = (tensor.shape.clone(), view.shape().to_vec());
            return Err(ModelFileError::Shape {
                path,
                name,
                expected,
                found,
            });
        }
        views.push((tensor, view));
    }
    let mut model = Parameters::zeros(Arc::clone(layout));
    for (tensor, view) in views {
        let name = tensor.name.clone();
        let values = &mut model.values_mut()[tensor.range()];
        if !decode(&view, values) {
            return Err(ModelFileError::Type {
                path,
                name,
                found: format!("{:?}", view.dtype()),
            });
        }
        if !values.iter().all(|value| value.is_finite()) {
            return Err(ModelFileError::NonFinite { path, name });
        }
    }
    Ok(model)
}

fn dtype(export: ExportType) -> Dtype {
    match export {
        ExportType::F32 => Dtype::F32,
        ExportType::I64 => Dtype::I64,
    }
}

fn encode(tensor: &Tensor, values: &[f32]) -> Vec<u8> {
    match tensor.export {
        ExportType::F32 => values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
        ExportType::I64 => values
            .iter()
            .flat_map(|&value| (value as i64).to_le_bytes())
            .collect(),
    }
}

/// Whether the type is one that can be read.
fn decode(view: &TensorView<'_>, values: &mut [f32]) -> bool {
    match view.dtype() {
        Dtype::F32 => fill(values, view.data(), f32::from_le_bytes),
        Dtype::F64 => fill(values, view.data(), |bytes| {
            f64::from_le_bytes(bytes) as f32
        }),
        Dtype::I64 => fill(values, view.data(), |bytes| {
            i64::from_le_bytes(bytes) as f32
        }),
        _ => return false,
    }
    true
}

fn fill<const N: usize>(values: &mut [f32], bytes: &[u8], convert: impl Fn([u8; N]) -> f32) {
    for (value, bytes) in values.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *value = convert(*bytes);
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::{Scope, TensorSpec};

    use super::*;

    fn layout(shape: &[usize]) -> Arc<Layout> {
        let spec = |name: &str, shape: &[usize], scope, export| TensorSpec {
            name: name.to_owned(),
            shape: shape.to_vec(),
            scope,
            export,
        };
        let specs = vec![
            spec("0.steps", &[], Scope::Local, ExportType::I64),
            spec("0.weight", shape, Scope::Shared, ExportType::F32),
        ];
        Arc::new(Layout::new(specs).unwrap())
    }

    fn model() -> Parameters {
        let mut model = Parameters::zeros(layout(&[2, 3]));
        model
            .values_mut()
            .copy_from_slice(&[0.5, -1.0, 2.0, 3.0, 4.0, 5.0, 7.0]);
        model
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        save_model(&path, &model()).unwrap();
        assert_eq!(
            load_model(&path, &layout(&[2, 3])).unwrap().values(),
            model().values()
        );
    }

    #[test]
    fn a_file_of_another_model_is_refused_by_tensor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        save_model(&path, &model()).unwrap();
        let error = load_model(&path, &layout(&[3, 2])).unwrap_err();
        assert!(matches!(error, ModelFileError::Shape { name, .. } if name == "0.weight"));
        std::fs::write(&path, b"no such thing").unwrap();
        let error = load_model(&path, &layout(&[3, 2])).unwrap_err();
        assert!(matches!(error, ModelFileError::Format { .. }));
    }

    #[test]
    fn a_value_that_is_not_a_number_is_refused_by_tensor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let mut broken = model();
        broken.values_mut()[2] = f32::NAN;
        save_model(&path, &broken).unwrap();
        let error = load_model(&path, &layout(&[2, 3])).unwrap_err();
        assert!(matches!(error, ModelFileError::NonFinite { name, .. } if name == "0.weight"));
    }
}
