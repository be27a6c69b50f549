//! Named tensors as one safetensors file: what the bodies of messages are.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;

/// A tensor's name, type and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the file.
    pub name: String,
    /// The type of its elements, which are little-endian.
    pub dtype: Dtype,
    /// Sizes from the outermost dimension to the innermost.
    pub shape: Vec<usize>,
}

/// Why bytes are no tensors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The file's own structure is broken.
    #[error("its body is no safetensors file: {why}")]
    Broken {
        /// What the reader says.
        why: String,
    },
    /// A tensor that is needed is not there.
    #[error("tensor {name:?} is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// Elements of a type that cannot be used.
    #[error("tensor {name:?} has elements of type {found}, expected {expected}")]
    Element {
        /// The tensor.
        name: String,
        /// What can be used.
        expected: &'static str,
        /// What it has.
        found: String,
    },
}

#[derive(Serialize)]
struct HeaderEntry<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

impl Entry {
    /// An entry of this name, type and shape.
    pub fn new(name: impl Into<String>, dtype: Dtype, shape: impl Into<Vec<usize>>) -> Self {
        Self {
            name: name.into(),
            dtype,
            shape: shape.into(),
        }
    }

    /// Bytes of all its elements.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

/// What stands before the elements of `entries`, which follow in the order given.
///
/// Sorted by falling size of their elements, all are aligned.
pub(crate) fn header(entries: &[Entry]) -> Vec<u8> {
    let mut offset = 0;
    let header: BTreeMap<&str, HeaderEntry<'_>> = entries
        .iter()
        .map(|entry| {
            let begin = offset;
            offset += entry.bytes();
            let entry_header = HeaderEntry {
                dtype: entry.dtype,
                shape: &entry.shape,
                data_offsets: [begin, offset],
            };
            (entry.name.as_str(), entry_header)
        })
        .collect();
    // Unwrap safety: a map of strings to numbers is always JSON.
    #[expect(clippy::unwrap_used)]
    let mut json = serde_json::to_vec(&header).unwrap();
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut json);
    bytes
}

/// Tensors to be written as one file.
#[derive(Debug, Default)]
pub(crate) struct Archive<'a> {
    tensors: Vec<(Entry, Values<'a>)>,
}

#[derive(Debug)]
enum Values<'a> {
    Floats(&'a [f32]),
    /// Whole numbers held as `f32`, written as `I64`.
    Whole(&'a [f32]),
    Rows(&'a [u32]),
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Archive<'a> {
    pub(crate) fn floats(&mut self, name: String, shape: &[usize], values: &'a [f32]) {
        self.tensors
            .push((Entry::new(name, Dtype::F32, shape), Values::Floats(values)));
    }

    pub(crate) fn whole(&mut self, name: String, shape: &[usize], values: &'a [f32]) {
        self.tensors
            .push((Entry::new(name, Dtype::I64, shape), Values::Whole(values)));
    }

    pub(crate) fn rows(&mut self, name: &str, rows: &'a [u32]) {
        let entry = Entry::new(name, Dtype::I64, [rows.len()]);
        self.tensors.push((entry, Values::Rows(rows)));
    }

    pub(crate) fn bytes(&mut self, entry: Entry, bytes: impl Into<Cow<'a, [u8]>>) {
        self.tensors.push((entry, Values::Bytes(bytes.into())));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.tensors
            .sort_by_key(|(entry, _)| Reverse(entry.dtype.bitsize()));
        let (entries, values): (Vec<Entry>, Vec<Values<'_>>) = self.tensors.into_iter().unzip();
        let mut bytes = header(&entries);
        bytes.reserve_exact(entries.iter().map(Entry::bytes).sum());
        for values in values {
            match values {
                Values::Floats(values) => append(&mut bytes, values, |value| value.to_le_bytes()),
                Values::Whole(values) => {
                    append(&mut bytes, values, |value| (value as i64).to_le_bytes());
                }
                Values::Rows(rows) => append(&mut bytes, rows, |row| i64::from(row).to_le_bytes()),
                Values::Bytes(values) => bytes.extend(&*values),
            }
        }
        bytes
    }
}

/// Appends each value's bytes. In one block, since a byte at a time costs as much as a training step.
fn append<const N: usize, T: Copy>(bytes: &mut Vec<u8>, values: &[T], to: impl Fn(T) -> [u8; N]) {
    let start = bytes.len();
    bytes.resize(start + N * values.len(), 0);
    let (places, _) = bytes[start..].as_chunks_mut();
    for (place, &value) in places.iter_mut().zip(values) {
        *place = to(value);
    }
}

/// Tensors read from a file.
#[derive(Debug)]
pub(crate) struct Tensors<'a>(SafeTensors<'a>);

impl<'a> Tensors<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ArchiveError> {
        match SafeTensors::deserialize(bytes) {
            Ok(tensors) => Ok(Self(tensors)),
            Err(error) => Err(ArchiveError::Broken {
                why: error.to_string(),
            }),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, TensorView<'a>)> {
        self.0.iter()
    }

    /// The tensor's elements, as numbers.
    pub(crate) fn numbers(&self, name: &str) -> Result<Vec<f64>, ArchiveError> {
        let view = self.0.tensor(name).map_err(|_| ArchiveError::Missing {
            name: name.to_owned(),
        })?;
        numbers(&view).ok_or_else(|| ArchiveError::Element {
            name: name.to_owned(),
            expected: "F32, F64, I32, I64, U32 or U8",
            found: view.dtype().to_string(),
        })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.tensor(name).is_ok()
    }
}

/// Copies a tensor of `F32` or `I64` elements; `None` if it has others.
///
/// # Panics
/// If `out` has another length.
pub(crate) fn copy_floats(view: &TensorView<'_>, out: &mut [f32]) -> Option<()> {
    match view.dtype() {
        Dtype::F32 => copy(view.data(), out, f32::from_le_bytes),
        Dtype::I64 => copy(view.data(), out, |bytes| i64::from_le_bytes(bytes) as f32),
        _ => return None,
    }
    Some(())
}

fn numbers(view: &TensorView<'_>) -> Option<Vec<f64>> {
    let mut numbers = vec![0.0; view.shape().iter().product()];
    let (data, out) = (view.data(), &mut numbers[..]);
    match view.dtype() {
        Dtype::F64 => copy(data, out, f64::from_le_bytes),
        Dtype::F32 => copy(data, out, |bytes| f32::from_le_bytes(bytes).into()),
        Dtype::I64 => copy(data, out, |bytes| i64::from_le_bytes(bytes) as f64),
        Dtype::I32 => copy(data, out, |bytes| i32::from_le_bytes(bytes).into()),
        Dtype::U32 => copy(data, out, |bytes| u32::from_le_bytes(bytes).into()),
        Dtype::U8 => copy(data, out, |[byte]| byte.into()),
        _ => return None,
    }
    Some(numbers)
}

fn copy<const N: usize, T>(bytes: &[u8], out: &mut [T], from: impl Fn([u8; N]) -> T) {
    let (elements, rest) = bytes.as_chunks();
    assert!(
        elements.len() == out.len() && rest.is_empty(),
        "one element for each place"
    );
    for (place, &element) in out.iter_mut().zip(elements) {
        *place = from(element);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_with_every_tensor_aligned() {
        let mut archive = Archive::default();
        archive.bytes(Entry::new("note", Dtype::U8, [3]), vec![1, 2, 3]);
        archive.floats("w".into(), &[1, 2], &[0.5, -1.0]);
        archive.whole("steps".into(), &[], &[7.0]);
        archive.rows("rows.train", &[5, 6]);
        let bytes = archive.into_bytes();
        let tensors = Tensors::parse(&bytes).unwrap();
        for (name, expected) in [
            ("note", vec![1.0, 2.0, 3.0]),
            ("w", vec![0.5, -1.0]),
            ("steps", vec![7.0]),
            ("rows.train", vec![5.0, 6.0]),
        ] {
            assert_eq!(tensors.numbers(name), Ok(expected));
            let data = tensors.0.tensor(name).unwrap().data();
            let offset = data.as_ptr() as usize - bytes.as_ptr() as usize;
            assert_eq!(
                offset % (data.len() / tensors.numbers(name).unwrap().len()),
                0,
                "{name}"
            );
        }
    }

    #[test]
    fn a_broken_or_unfit_body_is_refused() {
        for bytes in [
            &b""[..],
            b"\xff\xff\xff\xff\xff\xff\xff\xff{}",
            b"\x02\0\0\0\0\0\0\0[]",
        ] {
            assert!(matches!(
                Tensors::parse(bytes),
                Err(ArchiveError::Broken { .. })
            ));
        }
        let mut archive = Archive::default();
        archive.bytes(Entry::new("odd", Dtype::U16, [1]), vec![1, 2]);
        let bytes = archive.into_bytes();
        let tensors = Tensors::parse(&bytes).unwrap();
        assert!(matches!(
            tensors.numbers("odd"),
            Err(ArchiveError::Element { .. })
        ));
        assert!(matches!(
            tensors.numbers("loss"),
            Err(ArchiveError::Missing { .. })
        ));
    }
}
