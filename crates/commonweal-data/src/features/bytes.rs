//! Pixels that stay one byte each in memory and are scaled when a batch is filled.

use std::sync::Arc;

use super::{FeaturesError, row_width};

/// Rows of bytes; a value is `byte · scale + offset` of its channel, the first dimension. Cheap to clone: the
/// bytes are shared.
#[derive(Debug, Clone, PartialEq)]
pub struct Bytes {
    values: Arc<Vec<u8>>,
    shape: Vec<usize>,
    width: usize,
    scaling: Scaling,
}

/// How a byte becomes a value.
#[derive(Debug, Clone, PartialEq)]
enum Scaling {
    /// One factor for all, no offset.
    Uniform(f32),
    /// `(scale, offset)` of each channel, the first dimension of the shape.
    Channels(Vec<(f32, f32)>),
}

impl Bytes {
    /// Rows of `shape` (channels first), valued `byte · scale`.
    ///
    /// # Errors
    /// [`FeaturesError`] if `values` are not whole rows.
    pub fn new(values: Vec<u8>, shape: Vec<usize>, scale: f32) -> Result<Self, FeaturesError> {
        let width = row_width(&shape, values.len())?;
        Ok(Self {
            values: Arc::new(values),
            shape,
            width,
            scaling: Scaling::Uniform(scale),
        })
    }

    /// Scaled so that each channel has mean 0 and deviation 1, given its present mean and
    /// deviation; a deviation of 0 counts as 1.
    ///
    /// # Panics
    /// If there is not one pair a channel.
    #[must_use]
    pub fn standardised(mut self, moments: &[(f32, f32)]) -> Self {
        assert_eq!(
            moments.len(),
            self.channels(),
            "one mean and deviation a channel"
        );
        let scaling = (0..self.channels())
            .map(|channel| {
                let (scale, offset) = self.affine(channel);
                let (mean, deviation) = moments[channel];
                let deviation = if deviation > 0.0 { deviation } else { 1.0 };
                (scale / deviation, (offset - mean) / deviation)
            })
            .collect();
        self.scaling = Scaling::Channels(scaling);
        self
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// The shape of one row, channels first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of channels: the first dimension of an image, one for a plain row.
    pub fn channels(&self) -> usize {
        if self.shape.len() > 1 {
            self.shape[0]
        } else {
            1
        }
    }

    /// The bytes of one row.
    pub fn row(&self, row: u32) -> &[u8] {
        let start = row as usize * self.width;
        &self.values[start..start + self.width]
    }

    /// `(scale, offset)` of a channel.
    pub fn affine(&self, channel: usize) -> (f32, f32) {
        match &self.scaling {
            Scaling::Uniform(scale) => (*scale, 0.0),
            Scaling::Channels(channels) => channels[channel],
        }
    }

    pub(crate) fn fill(&self, rows: &[u32], out: &mut [f32]) {
        assert_eq!(
            out.len(),
            rows.len() * self.width,
            "one row of the batch a row number"
        );
        let plane = self.width / self.channels();
        for (out, &row) in out.chunks_exact_mut(self.width).zip(rows) {
            match &self.scaling {
                Scaling::Uniform(scale) => scale_bytes(self.row(row), *scale, 0.0, out),
                Scaling::Channels(channels) => {
                    let planes = self
                        .row(row)
                        .chunks_exact(plane)
                        .zip(out.chunks_exact_mut(plane));
                    for ((bytes, out), &(scale, offset)) in planes.zip(channels) {
                        scale_bytes(bytes, scale, offset, out);
                    }
                }
            }
        }
    }

    /// These rows only, in this order.
    pub(crate) fn select(&self, rows: &[u32]) -> Self {
        let values = rows.iter().flat_map(|&row| self.row(row)).copied();
        Self {
            values: Arc::new(values.collect()),
            shape: self.shape.clone(),
            width: self.width,
            scaling: self.scaling.clone(),
        }
    }

    pub(crate) fn then(mut self, other: Self) -> Option<Self> {
        if self.shape != other.shape || self.scaling != other.scaling {
            return None;
        }
        Arc::make_mut(&mut self.values).extend_from_slice(&other.values);
        Some(self)
    }
}

fn scale_bytes(bytes: &[u8], scale: f32, offset: f32, out: &mut [f32]) {
    for (out, &byte) in out.iter_mut().zip(bytes) {
        *out = f32::from(byte) * scale + offset;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standardising_subtracts_each_channels_mean_and_divides_by_its_deviation() {
        let bytes = Bytes::new(vec![2, 4, 10, 30], vec![2, 1, 2], 0.5).expect("whole rows");
        let mut out = [0.0; 4];
        bytes
            .standardised(&[(1.5, 0.5), (10.0, 0.0)])
            .fill(&[0], &mut out);
        assert_eq!(out, [-1.0, 1.0, -5.0, 5.0]);
    }

    #[test]
    fn a_part_of_a_row_is_refused() {
        assert_eq!(
            Bytes::new(vec![0; 5], vec![1, 2, 2], 1.0),
            Err(FeaturesError::PartRow { width: 4, found: 5 })
        );
    }
}
