//! The bytes that a client reports: one representation for the simulator and the wire.
//!
//! All numbers are little-endian. An update is
//! `"CWu1"`, base version `u64`, weight `u32`, values `u32`, metric sums `u32`, each metric sum `i64`, each
//! value `i32`; a report of metrics is `"CWm1"`, base version `u64`, metric sums `u32`, each `i64`; a report of
//! `prepare` is `"CWp1"`, base version `u64`, then the sums of its columns.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::reader::{Reader, Truncated};
use crate::{MetricSums, ModelVersion, PrepareSums, Stage, Weight, WeightError};

/// A client's message within a round: carried without being looked into.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Vec<u8>);

/// A parsed report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// Of a train task.
    Update(UpdateMessage<'a>),
    /// Of an evaluate task.
    Metrics {
        /// The model that was measured.
        base: ModelVersion,
        /// The sums.
        sums: Vec<i64>,
    },
    /// Of a prepare task.
    Prepare {
        /// The model at the time: the initial one.
        base: ModelVersion,
        /// The sums of the columns, which only their spec can parse.
        sums: &'a [u8],
    },
}

/// A parsed report of a train task. Its values are whatever the client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateMessage<'a> {
    /// The model from which the client started.
    pub base: ModelVersion,
    /// How much it counts.
    pub weight: Weight,
    /// Training metrics.
    pub metrics: Vec<i64>,
    /// Four bytes a value.
    pub values: &'a [u8],
}

/// Why bytes are no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Unknown first bytes.
    #[error("the report does not begin as one: is the client of another version?")]
    Magic,
    /// The bytes end within a field.
    #[error("the report breaks off at byte {at}")]
    Truncated {
        /// Where the field begins.
        at: usize,
    },
    /// Bytes after the last field.
    #[error("the report goes on after its end at byte {at}")]
    Trailing {
        /// Where it should end.
        at: usize,
    },
    /// A weight of 0, or above the largest.
    #[error(transparent)]
    Weight(#[from] WeightError),
}

const UPDATE: [u8; 4] = *b"CWu1";
const METRICS: [u8; 4] = *b"CWm1";
const PREPARE: [u8; 4] = *b"CWp1";

impl Payload {
    /// The report of an evaluate task.
    pub fn metrics(base: ModelVersion, sums: &MetricSums) -> Self {
        let sums = sums.values();
        let mut bytes = Vec::with_capacity(16 + 8 * sums.len());
        bytes.extend(METRICS);
        bytes.extend(base.0.to_le_bytes());
        bytes.extend((sums.len() as u32).to_le_bytes());
        sums.iter().for_each(|sum| bytes.extend(sum.to_le_bytes()));
        Self(bytes)
    }

    /// The report of a prepare task.
    pub fn prepare(base: ModelVersion, sums: &PrepareSums) -> Self {
        let mut bytes = PREPARE.to_vec();
        bytes.extend(base.0.to_le_bytes());
        sums.write(&mut bytes);
        Self(bytes)
    }

    /// Takes the bytes apart. Looks at every field but at no value of an update: costs O(metrics).
    ///
    /// # Errors
    /// See [`PayloadError`].
    pub fn parse(&self) -> Result<Message<'_>, PayloadError> {
        let mut reader = Reader::new(&self.0);
        let magic = reader.array::<4>()?;
        let message = match magic {
            UPDATE => Message::Update(update(&mut reader)?),
            METRICS => {
                let base = ModelVersion(reader.u64()?);
                let len = reader.u32()?;
                Message::Metrics {
                    base,
                    sums: integers(&mut reader, len)?,
                }
            }
            PREPARE => {
                let base = ModelVersion(reader.u64()?);
                let left = reader.left();
                Message::Prepare {
                    base,
                    sums: reader.take(left)?,
                }
            }
            _ => return Err(PayloadError::Magic),
        };
        match reader.left() {
            0 => Ok(message),
            _ => Err(PayloadError::Trailing { at: reader.at() }),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, given away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl Message<'_> {
    /// The stage whose task this reports.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Update(_) => Stage::Train,
            Self::Metrics { .. } => Stage::Evaluate,
            Self::Prepare { .. } => Stage::Prepare,
        }
    }

    /// The model it is about.
    pub fn base(&self) -> ModelVersion {
        match self {
            Self::Update(update) => update.base,
            Self::Metrics { base, .. } | Self::Prepare { base, .. } => *base,
        }
    }
}

fn update<'a>(reader: &mut Reader<'a>) -> Result<UpdateMessage<'a>, PayloadError> {
    let base = ModelVersion(reader.u64()?);
    let weight = Weight::try_from(u64::from(reader.u32()?))?;
    let (values, metrics) = (reader.u32()?, reader.u32()?);
    let metrics = integers(reader, metrics)?;
    let at = reader.at();
    let bytes = (values as usize)
        .checked_mul(4)
        .ok_or(PayloadError::Truncated { at })?;
    Ok(UpdateMessage {
        base,
        weight,
        metrics,
        values: reader.take(bytes)?,
    })
}

/// So many integers; nothing is allocated for a number that the bytes do not hold.
fn integers(reader: &mut Reader<'_>, len: u32) -> Result<Vec<i64>, PayloadError> {
    let at = reader.at();
    let bytes = (len as usize)
        .checked_mul(8)
        .ok_or(PayloadError::Truncated { at })?;
    let (integers, _) = reader.take(bytes)?.as_chunks::<8>();
    Ok(integers
        .iter()
        .map(|bytes| i64::from_le_bytes(*bytes))
        .collect())
}

impl From<Vec<u8>> for Payload {
    /// Bytes that arrived. Nothing is known of them until they are parsed.
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<Truncated> for PayloadError {
    fn from(truncated: Truncated) -> Self {
        Self::Truncated { at: truncated.at }
    }
}

impl fmt::Debug for Payload {
    /// The length: contents are private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// An update's bytes, complete but for the values.
pub(crate) struct UpdateWriter {
    bytes: Vec<u8>,
    header: usize,
}

impl UpdateWriter {
    /// Writes into `memory`, whatever it holds.
    pub(crate) fn new(
        memory: Vec<u8>,
        base: ModelVersion,
        weight: Weight,
        metrics: &[i64],
        values: usize,
    ) -> Self {
        let header = 24 + 8 * metrics.len();
        let len = header + 4 * values;
        // Zeroed memory is free for large blocks, where writing zeroes would cost a pass.
        let mut bytes = if memory.capacity() < len {
            vec![0; len]
        } else {
            memory
        };
        bytes.resize(len, 0);
        bytes[..4].copy_from_slice(&UPDATE);
        bytes[4..12].copy_from_slice(&base.0.to_le_bytes());
        bytes[12..16].copy_from_slice(&weight.value().to_le_bytes());
        bytes[16..20].copy_from_slice(&(values as u32).to_le_bytes());
        bytes[20..24].copy_from_slice(&(metrics.len() as u32).to_le_bytes());
        for (bytes, metric) in bytes[24..header].chunks_exact_mut(8).zip(metrics) {
            bytes.copy_from_slice(&metric.to_le_bytes());
        }
        Self { bytes, header }
    }

    /// Four bytes a value.
    pub(crate) fn values_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.header..]
    }

    pub(crate) fn finish(self) -> Payload {
        Payload(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::MetricSpec;

    fn update() -> Payload {
        let mut writer =
            UpdateWriter::new(vec![9; 99], ModelVersion(7), Weight::MAX, &[3, -1, 0], 2);
        writer
            .values_mut()
            .copy_from_slice(&[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        writer.finish()
    }

    #[test]
    fn an_update_is_these_bytes() {
        let bytes = [
            &b"CWu1"[..],
            &[7, 0, 0, 0, 0, 0, 0, 0],
            &[0xff, 0xff, 0x0f, 0],
            &[2, 0, 0, 0],
            &[3, 0, 0, 0],
            &[3, 0, 0, 0, 0, 0, 0, 0],
            &[0xff; 8],
            &[0; 8],
            &[1, 0, 0, 0],
            &[0xff; 4],
        ]
        .concat();
        assert_eq!(update().as_bytes(), bytes);
    }

    #[test]
    fn a_report_that_breaks_off_anywhere_or_goes_on_is_refused() {
        let metrics = Payload::metrics(ModelVersion(1), &MetricSpec::loss().zero());
        for whole in [update(), metrics] {
            let bytes = whole.as_bytes();
            for len in 0..bytes.len() {
                let refused = Payload::from(bytes[..len].to_vec());
                assert!(
                    matches!(refused.parse(), Err(PayloadError::Truncated { .. })),
                    "{len}"
                );
            }
            let longer = Payload::from([bytes, &[0]].concat());
            assert_eq!(
                longer.parse(),
                Err(PayloadError::Trailing { at: bytes.len() })
            );
        }
    }

    #[test]
    fn a_lying_length_allocates_nothing() {
        let mut bytes = update().into_bytes();
        bytes[20..24].fill(0xff);
        assert_eq!(
            Payload::from(bytes).parse(),
            Err(PayloadError::Truncated { at: 24 })
        );
    }

    #[test]
    fn a_weight_out_of_range_is_refused() {
        let mut bytes = update().into_bytes();
        bytes[12..16].fill(0);
        let refused = Payload::from(bytes.clone());
        assert_eq!(
            refused.parse(),
            Err(PayloadError::Weight(WeightError::Zero))
        );
        bytes[12..16].fill(0xff);
        let refused = Payload::from(bytes);
        assert!(matches!(
            refused.parse(),
            Err(PayloadError::Weight(WeightError::TooLarge { .. }))
        ));
    }

    #[test]
    fn foreign_bytes_are_refused() {
        assert_eq!(
            Payload::from(b"GET / HTTP/1.1".to_vec()).parse(),
            Err(PayloadError::Magic)
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            base in any::<u64>(),
            weight in 1_u64..1 << 20,
            metrics in proptest::collection::vec(any::<i64>(), 0..9),
            values in proptest::collection::vec(any::<i32>(), 0..9),
        ) {
            let (base, weight) = (ModelVersion(base), Weight::try_from(weight).unwrap());
            let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let mut writer = UpdateWriter::new(Vec::new(), base, weight, &metrics, values.len() / 4);
            writer.values_mut().copy_from_slice(&values);
            let message = UpdateMessage { base, weight, metrics, values: &values };
            let payload = writer.finish();
            prop_assert_eq!(payload.parse(), Ok(Message::Update(message)));
        }

        #[test]
        fn no_bytes_panic(
            magic in prop_oneof![Just(UPDATE), Just(METRICS), Just(PREPARE), any::<[u8; 4]>()],
            rest in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let _ = Payload::from([&magic[..], &rest].concat()).parse();
        }
    }
}
