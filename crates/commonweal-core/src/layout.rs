//! Which tensors a model is made of, and where each lies in one flat vector.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Digest, DigestWriter};

/// Who sees a tensor, and who changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Trained by the clients and averaged: what a client update is made of.
    Shared,
    /// Given with the model and never changed: pretrained layers, constants.
    Frozen,
    /// Each client's own, in its client state: batch-norm buffers, personal layers.
    Local,
}

/// The element type under which a tensor is written to `model.safetensors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportType {
    /// 32-bit floating point.
    F32,
    /// 64-bit integer, such as PyTorch's `num_batches_tracked`.
    I64,
}

/// A tensor as a model declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorSpec {
    /// The key of PyTorch's `state_dict`, such as `0.weight`.
    pub name: String,
    /// Sizes from the outermost dimension to the innermost; empty for a single number.
    pub shape: Vec<usize>,
    /// Who sees it.
    pub scope: Scope,
    /// How it is exported.
    pub export: ExportType,
}

/// A declared tensor with its place in the flat vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// The key of PyTorch's `state_dict`.
    pub name: String,
    /// Sizes from the outermost dimension to the innermost.
    pub shape: Vec<usize>,
    /// Who sees it.
    pub scope: Scope,
    /// How it is exported.
    pub export: ExportType,
    /// Index of its first value in the flat vector.
    pub offset: usize,
}

impl From<&Tensor> for TensorSpec {
    fn from(tensor: &Tensor) -> Self {
        Self {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            scope: tensor.scope,
            export: tensor.export,
        }
    }
}

impl Tensor {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether a dimension is 0. No tensor of a [`Layout`] is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its values' place in the flat vector.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// Names, shapes, scopes and offsets of a model's tensors.
///
/// Offsets put all shared tensors first, then the frozen, then the local ones, each group in declared
/// order: a client update is the prefix of length [`shared_len`](Self::shared_len) of the flat vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<Tensor>,
    shared_len: usize,
    len: usize,
}

/// Why tensors make no layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Two tensors of one name.
    #[error("two tensors are called {name:?}: every tensor of a model needs its own name")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A dimension of 0.
    #[error("tensor {name:?} has a dimension of 0 in its shape {shape:?}")]
    Empty {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// More values than [`Layout::MAX_LEN`].
    #[error(
        "the model has more than {} values at tensor {name:?}",
        Layout::MAX_LEN
    )]
    TooLong {
        /// The tensor at which the count was passed.
        name: String,
    },
    /// Nothing that clients could train together.
    #[error("the model has no shared tensor: nothing could be learned together")]
    NothingShared,
}

impl Layout {
    /// Largest number of values of a model: 2^32 − 1, so that lengths fit in four bytes of a message.
    pub const MAX_LEN: usize = u32::MAX as usize;

    /// Lays `specs` out.
    ///
    /// # Errors
    /// Two tensors of one name, an empty tensor, too many values, or nothing shared.
    pub fn new(specs: Vec<TensorSpec>) -> Result<Self, LayoutError> {
        let names: alloc::collections::BTreeSet<&str> =
            specs.iter().map(|spec| spec.name.as_str()).collect();
        if names.len() < specs.len() {
            return Err(duplicate_of(&specs));
        }
        let mut tensors: Vec<Tensor> = specs
            .into_iter()
            .map(
                |TensorSpec {
                     name,
                     shape,
                     scope,
                     export,
                 }| {
                    Tensor {
                        name,
                        shape,
                        scope,
                        export,
                        offset: 0,
                    }
                },
            )
            .collect();
        let mut len = 0_usize;
        let mut shared_len = 0;
        for scope in [Scope::Shared, Scope::Frozen, Scope::Local] {
            for tensor in tensors.iter_mut().filter(|tensor| tensor.scope == scope) {
                tensor.offset = len;
                len = end_of(tensor)?;
            }
            if scope == Scope::Shared {
                shared_len = len;
            }
        }
        if shared_len == 0 {
            return Err(LayoutError::NothingShared);
        }
        Ok(Self {
            tensors,
            shared_len,
            len,
        })
    }

    /// Number of values of the whole model.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no values. Never true: a layout has something shared.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of shared values: the length of a client update.
    pub fn shared_len(&self) -> usize {
        self.shared_len
    }

    /// All tensors, in declared order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// SHA-256 over name, scope, type and shape of every tensor in declared order: equal for two layouts exactly
    /// if a flat vector of the one means the same in the other.
    pub fn digest(&self) -> Digest {
        let mut writer = DigestWriter::new("commonweal/layout/1");
        writer.number(self.tensors.len() as u64);
        for tensor in &self.tensors {
            writer.field(tensor.name.as_bytes());
            writer.field(match tensor.scope {
                Scope::Shared => b"shared",
                Scope::Frozen => b"frozen",
                Scope::Local => b"local",
            });
            writer.field(match tensor.export {
                ExportType::F32 => b"F32",
                ExportType::I64 => b"I64",
            });
            writer.number(tensor.shape.len() as u64);
            tensor
                .shape
                .iter()
                .for_each(|&size| writer.number(size as u64));
        }
        writer.finish()
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}

fn end_of(tensor: &Tensor) -> Result<usize, LayoutError> {
    let name = || tensor.name.clone();
    let len = tensor
        .shape
        .iter()
        .try_fold(1_usize, |len, &size| len.checked_mul(size));
    match len.and_then(|len| tensor.offset.checked_add(len)) {
        Some(end) if end == tensor.offset => Err(LayoutError::Empty {
            name: name(),
            shape: tensor.shape.clone(),
        }),
        Some(end) if end <= Layout::MAX_LEN => Ok(end),
        _ => Err(LayoutError::TooLong { name: name() }),
    }
}

fn duplicate_of(specs: &[TensorSpec]) -> LayoutError {
    let mut seen = alloc::collections::BTreeSet::new();
    let name = specs
        .iter()
        .map(|spec| spec.name.as_str())
        .find(|name| !seen.insert(*name))
        .unwrap_or_default();
    LayoutError::Duplicate { name: name.into() }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    #[test]
    fn the_digest_tells_apart_what_gives_values_another_meaning() {
        let digest = |specs: &[TensorSpec]| Layout::new(specs.to_vec()).unwrap().digest();
        let (a, b) = (
            spec("a", &[2, 3], Scope::Shared),
            spec("b", &[6], Scope::Shared),
        );
        let own = digest(&[a.clone(), b.clone()]);
        assert_eq!(own, digest(&[a.clone(), b.clone()]));
        let others = [
            vec![b.clone(), a.clone()],
            vec![a.clone()],
            vec![spec("a", &[3, 2], Scope::Shared), b.clone()],
            vec![spec("c", &[2, 3], Scope::Shared), b.clone()],
            vec![spec("a", &[2, 3], Scope::Local), b.clone()],
            vec![
                TensorSpec {
                    export: ExportType::I64,
                    ..a
                },
                b,
            ],
        ];
        assert!(others.iter().all(|other| digest(other) != own));
    }

    fn spec(name: &str, shape: &[usize], scope: Scope) -> TensorSpec {
        TensorSpec {
            name: name.into(),
            shape: shape.into(),
            scope,
            export: ExportType::F32,
        }
    }

    #[test]
    fn shared_tensors_are_a_prefix_whatever_the_declared_order() {
        let layout = Layout::new(vec![
            spec("own", &[3], Scope::Local),
            spec("a.weight", &[2, 4], Scope::Shared),
            spec("fixed", &[5], Scope::Frozen),
            spec("a.bias", &[2], Scope::Shared),
        ])
        .unwrap();
        let ranges: Vec<_> = layout.tensors().iter().map(Tensor::range).collect();
        assert_eq!(ranges, [15..18, 0..8, 10..15, 8..10]);
        assert_eq!((layout.shared_len(), layout.len()), (10, 18));
    }

    #[test]
    fn a_shape_whose_size_overflows_is_refused() {
        let huge = spec("w", &[usize::MAX, 2], Scope::Shared);
        assert_eq!(
            Layout::new(vec![huge]),
            Err(LayoutError::TooLong { name: "w".into() })
        );
    }

    #[test]
    fn tensors_that_make_no_model_are_refused_by_name() {
        let twice = vec![
            spec("w", &[1], Scope::Shared),
            spec("w", &[1], Scope::Local),
        ];
        assert_eq!(
            Layout::new(twice),
            Err(LayoutError::Duplicate { name: "w".into() })
        );
        let empty = Layout::new(vec![spec("w", &[0], Scope::Shared)]);
        assert_eq!(
            empty,
            Err(LayoutError::Empty {
                name: "w".into(),
                shape: vec![0]
            })
        );
        let frozen = Layout::new(vec![spec("w", &[1], Scope::Frozen)]);
        assert_eq!(frozen, Err(LayoutError::NothingShared));
    }

    #[test]
    fn a_scalar_has_one_value() {
        let layout = Layout::new(vec![spec("s", &[], Scope::Shared)]).unwrap();
        assert_eq!(layout.tensors()[0].range(), 0..1);
    }
}
