//! The binary version of CIFAR: one or two label bytes, then 3 × 32 × 32 pixels, again and again.
//!
//! Format: Krizhevsky 2009, <https://www.cs.toronto.edu/~kriz/cifar.html>, "Binary version".

use crate::images::{self, ImagesError};
use crate::{Dataset, gzip};

const PIXELS: usize = 3 * 32 * 32;

/// Which of the two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cifar {
    /// Ten classes, one label byte.
    Ten,
    /// A hundred classes; the first label byte is the coarse class, which is passed over.
    Hundred,
}

impl Cifar {
    /// Bytes of one record: its labels and its pixels.
    pub const fn record_bytes(self) -> usize {
        match self {
            Self::Ten => 1 + PIXELS,
            Self::Hundred => 2 + PIXELS,
        }
    }
}

/// Why bytes are not CIFAR batches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CifarError {
    /// The batch cannot be unpacked.
    #[error(transparent)]
    Gzip(#[from] gzip::GzipError),
    /// The batch is not whole records.
    #[error(
        "a batch of {found} bytes is not a whole number of records of {record} bytes; fetch it again"
    )]
    PartRecord {
        /// Bytes a record.
        record: usize,
        /// Bytes found.
        found: usize,
    },
    /// The records do not make a data set.
    #[error(transparent)]
    Images(#[from] ImagesError),
}

/// Reads batches, one after the other, plain or gzip. A value is `byte / 255`.
///
/// # Errors
/// [`CifarError`].
pub fn read<'a>(
    batches: impl IntoIterator<Item = &'a [u8]>,
    set: Cifar,
) -> Result<Dataset, CifarError> {
    let classes = match set {
        Cifar::Ten => 10,
        Cifar::Hundred => 100,
    };
    let record = set.record_bytes();
    let label_bytes = record - PIXELS;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for batch in batches {
        let batch = gzip::unpacked(batch, u32::MAX as usize)?;
        if batch.is_empty() || !batch.len().is_multiple_of(record) {
            return Err(CifarError::PartRecord {
                record,
                found: batch.len(),
            });
        }
        for record in batch.chunks_exact(record) {
            labels.push(record[label_bytes - 1]);
            pixels.extend_from_slice(&record[label_bytes..]);
        }
    }
    Ok(images::of_bytes(
        pixels,
        vec![3, 32, 32],
        1.0 / 255.0,
        labels,
        Some(classes),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(labels: &[u8], pixel: u8) -> Vec<u8> {
        [labels, &[pixel; PIXELS]].concat()
    }

    #[test]
    fn batches_follow_one_another() {
        let (first, second) = (record(&[3], 0), record(&[9], 255));
        let data = read([&first[..], &second[..]], Cifar::Ten).expect("whole records");
        let mut out = vec![0.0; 2 * PIXELS];
        data.fill(&[0, 1], &mut out);
        assert_eq!((out[0], out[PIXELS]), (0.0, 1.0));
        assert_eq!(
            data.roster().labels().map(|labels| labels.codes().to_vec()),
            Some(vec![3, 9])
        );
    }

    #[test]
    fn the_fine_label_of_cifar_100_counts() {
        let data = read([&record(&[19, 42], 1)[..]], Cifar::Hundred).expect("a whole record");
        assert_eq!(
            data.roster().labels().map(|labels| labels.codes()[0]),
            Some(42)
        );
    }

    #[test]
    fn a_part_of_a_record_and_a_label_out_of_range_are_refused() {
        let whole = record(&[0], 1);
        let found = whole.len() - 1;
        let refused = CifarError::PartRecord {
            record: 3073,
            found,
        };
        assert_eq!(read([&whole[..found]], Cifar::Ten), Err(refused));
        let label = ImagesError::LabelOutOfRange {
            row: 0,
            classes: 10,
        };
        assert_eq!(read([&record(&[10], 1)[..]], Cifar::Ten), Err(label.into()));
    }
}
