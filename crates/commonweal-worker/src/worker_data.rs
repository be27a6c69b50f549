//! The data set as worker processes get it: the tensors that `docs/worker-protocol.md` names.

use std::io::{self, Write};
use std::sync::Arc;

use commonweal_data::{Bytes, Dataset, Features, Targets};
use safetensors::Dtype;

use crate::archive::Entry;
use crate::data::DataSet;

/// A data set whose rows are written as tensors, one after the other.
pub struct WorkerData(Arc<Dataset>);

impl WorkerData {
    /// Of this data set.
    #[must_use]
    pub fn new(data: Arc<Dataset>) -> Self {
        Self(data)
    }

    fn target_entry(&self) -> Option<Entry> {
        let rows = self.0.rows() as usize;
        match self.0.targets() {
            Targets::Classes { .. } => Some(Entry::new("labels", Dtype::U32, [rows])),
            Targets::Values(_) => Some(Entry::new("values", Dtype::F32, [rows])),
            Targets::NextTokens => None,
        }
    }
}

impl DataSet for WorkerData {
    fn entries(&self) -> Vec<Entry> {
        let rows = self.0.rows() as usize;
        let shaped = |shape: &[usize]| [&[rows], shape].concat();
        let mut entries: Vec<Entry> = self.target_entry().into_iter().collect();
        match self.0.features() {
            Features::Floats(floats) => {
                entries.push(Entry::new("features", Dtype::F32, shaped(floats.shape())));
            }
            Features::Bytes(bytes) => {
                let channels = bytes.channels();
                entries.push(Entry::new("features_scale", Dtype::F32, [channels]));
                entries.push(Entry::new("features_offset", Dtype::F32, [channels]));
                entries.push(Entry::new("features", Dtype::U8, shaped(bytes.shape())));
            }
            Features::Tokens(tokens) => {
                entries.push(Entry::new(
                    "tokens",
                    Dtype::U16,
                    [rows, tokens.length() + 1],
                ));
            }
        }
        entries
    }

    fn write(&self, name: &str, out: &mut dyn Write) -> io::Result<()> {
        let rows = 0..self.0.rows();
        match (name, self.0.features(), self.0.targets()) {
            ("labels", _, Targets::Classes { labels, .. }) => labels
                .iter()
                .try_for_each(|label| out.write_all(&label.to_le_bytes())),
            ("values", _, Targets::Values(values)) => write_floats(values, out),
            ("features", Features::Floats(floats), _) => rows
                .into_iter()
                .try_for_each(|row| write_floats(floats.row(row), out)),
            ("features", Features::Bytes(bytes), _) => rows
                .into_iter()
                .try_for_each(|row| out.write_all(bytes.row(row))),
            ("features_scale", Features::Bytes(bytes), _) => {
                write_floats(&channels(bytes, |(scale, _)| scale), out)
            }
            ("features_offset", Features::Bytes(bytes), _) => {
                write_floats(&channels(bytes, |(_, offset)| offset), out)
            }
            ("tokens", Features::Tokens(tokens), _) => rows.into_iter().try_for_each(|row| {
                let window = tokens.window(row).iter();
                window
                    .map(|token| token.to_le_bytes())
                    .try_for_each(|token| out.write_all(&token))
            }),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, name.to_owned())),
        }
    }
}

fn channels(bytes: &Bytes, part: impl Fn((f32, f32)) -> f32) -> Vec<f32> {
    (0..bytes.channels())
        .map(|channel| part(bytes.affine(channel)))
        .collect()
}

fn write_floats(values: &[f32], out: &mut dyn Write) -> io::Result<()> {
    values
        .iter()
        .try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use commonweal_data::embedded;

    use super::*;

    #[test]
    fn every_tensor_has_as_many_bytes_as_its_entry_says() {
        let data = WorkerData::new(Arc::new(embedded::digits().unwrap()));
        let names: Vec<String> = data.entries().into_iter().map(|entry| entry.name).collect();
        assert_eq!(
            names,
            ["labels", "features_scale", "features_offset", "features"]
        );
        for entry in data.entries() {
            let mut bytes = Vec::new();
            data.write(&entry.name, &mut bytes).unwrap();
            assert_eq!(bytes.len(), entry.bytes(), "{}", entry.name);
        }
        assert!(data.write("tokens", &mut Vec::new()).is_err());
    }
}
