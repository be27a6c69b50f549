//! A model's values: one flat vector under a layout.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::{Digest, DigestWriter, ExportType, Layout};

/// The values of a model, in the order of its [`Layout`]'s offsets.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    layout: Arc<Layout>,
    values: Vec<f32>,
}

/// Why values do not fit a layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// Another number of values than the layout has.
    #[error("the model has {expected} values, but {found} were given")]
    Length {
        /// Values of the layout.
        expected: usize,
        /// Values given.
        found: usize,
    },
}

impl Parameters {
    /// `values` under `layout`.
    ///
    /// # Errors
    /// [`ParametersError::Length`].
    pub fn new(layout: Arc<Layout>, values: Vec<f32>) -> Result<Self, ParametersError> {
        if values.len() != layout.len() {
            return Err(ParametersError::Length {
                expected: layout.len(),
                found: values.len(),
            });
        }
        Ok(Self { layout, values })
    }

    /// All values 0.
    pub fn zeros(layout: Arc<Layout>) -> Self {
        let values = vec![0.0; layout.len()];
        Self { layout, values }
    }

    /// Names, shapes and offsets.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// All values.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, to change.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The values that clients train together: a prefix.
    pub fn shared(&self) -> &[f32] {
        &self.values[..self.layout.shared_len()]
    }

    /// The values that clients train together, to change.
    pub fn shared_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.layout.shared_len()]
    }

    /// The values of the tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&[f32]> {
        self.layout
            .tensor(name)
            .map(|tensor| &self.values[tensor.range()])
    }

    /// SHA-256 over name, type, shape and little-endian bytes of every tensor in declared order: the
    /// model's identity in simulation and deployment alike. Costs one pass.
    pub fn digest(&self) -> Digest {
        let mut writer = DigestWriter::new("commonweal/model/1");
        writer.number(self.layout.tensors().len() as u64);
        for tensor in self.layout.tensors() {
            writer.field(tensor.name.as_bytes());
            writer.field(match tensor.export {
                ExportType::F32 => b"F32",
                ExportType::I64 => b"I64",
            });
            writer.number(tensor.shape.len() as u64);
            tensor
                .shape
                .iter()
                .for_each(|&size| writer.number(size as u64));
            writer.number(4 * tensor.len() as u64);
            write_values(&mut writer, &self.values[tensor.range()]);
        }
        writer.finish()
    }
}

fn write_values(writer: &mut DigestWriter, values: &[f32]) {
    let mut block = [0; 4096];
    for values in values.chunks(block.len() / 4) {
        for (bytes, value) in block.chunks_exact_mut(4).zip(values) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        writer.bytes(&block[..4 * values.len()]);
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;
    use crate::{Scope, TensorSpec};

    fn layout(names: [&str; 2]) -> Arc<Layout> {
        let spec = |name: &str, shape: &[usize]| TensorSpec {
            name: name.into(),
            shape: shape.into(),
            scope: Scope::Shared,
            export: ExportType::F32,
        };
        Arc::new(Layout::new(vec![spec(names[0], &[1, 2]), spec(names[1], &[1])]).unwrap())
    }

    #[test]
    fn values_of_another_length_are_refused() {
        let found = Parameters::new(layout(["w", "b"]), vec![0.0; 4]);
        assert_eq!(
            found,
            Err(ParametersError::Length {
                expected: 3,
                found: 4
            })
        );
    }

    #[test]
    fn the_digest_depends_on_names_and_bits() {
        let model = Parameters::new(layout(["w", "b"]), vec![1.0, -2.0, 0.0]).unwrap();
        let renamed = Parameters::new(layout(["w", "c"]), vec![1.0, -2.0, 0.0]).unwrap();
        let negative_zero = Parameters::new(layout(["w", "b"]), vec![1.0, -2.0, -0.0]).unwrap();
        assert_ne!(model.digest(), renamed.digest());
        assert_ne!(model.digest(), negative_zero.digest());
    }

    /// Computed independently with Python's `hashlib` over the documented bytes.
    #[test]
    fn the_digest_of_a_small_model_is_pinned() {
        let model = Parameters::new(layout(["w", "b"]), vec![1.0, -2.0, 0.5]).unwrap();
        assert_eq!(
            model.digest().to_string(),
            "sha256:7db2fb02967f8159e9b5b3d139d272b72f9432ca4bbd679d433358ad425f8296"
        );
        assert_eq!(model.tensor("b"), Some(&[0.5][..]));
    }
}
