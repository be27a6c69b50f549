//! A run as bytes: what a killed run goes on from, as if it had never stopped.
//!
//! `"CWrun"` and a format version, the run's identity, its state, the server optimizer's state, the model's
//! values, and the SHA-256 of all before it. All numbers are little-endian. Client states are not inside: they
//! stay with their clients.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;

use super::{Best, Judge, Run, RunSpec, State};
use crate::reader::{Reader, Truncated};
use crate::{
    Digest, DigestWriter, Layout, MetricKind, ModelVersion, OptimizerError, Parameters, Scope, Time,
};

const MAGIC: [u8; 5] = *b"CWrun";
const FORMAT: u16 = 1;

/// A snapshot whose checksum holds: not yet known to fit a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    identity: Identity,
    state: State,
    optimizer: Vec<u8>,
    values: Vec<f32>,
}

#[derive(Debug, Clone, PartialEq)]
struct Identity {
    manifest: Digest,
    prepared: Option<Digest>,
    layout: Digest,
    instruction_set: String,
}

/// Why bytes are no snapshot, or not one of this run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Foreign bytes.
    #[error("this is no snapshot of a run")]
    Magic,
    /// Written by another version of this program.
    #[error(
        "the snapshot has format {found}, this program reads {FORMAT}: resume with the version that wrote it"
    )]
    Format {
        /// The snapshot's.
        found: u16,
    },
    /// A byte has changed or is missing since it was written.
    #[error("the snapshot is damaged: its checksum does not hold; resume from an older one")]
    Checksum,
    /// The checksum holds, but not the content.
    #[error("the snapshot is malformed at byte {at}")]
    Malformed {
        /// Byte offset.
        at: usize,
    },
    /// A snapshot of another job.
    #[error(
        "the snapshot is of the job {found}, not {expected}: resume with the job that it began with"
    )]
    OtherJob {
        /// This run's manifest.
        expected: Digest,
        /// The snapshot's.
        found: Digest,
    },
    /// `prepare` found something else: the data have changed.
    #[error(
        "the snapshot was made on other data: what `prepare` found has changed; start a new run"
    )]
    OtherData,
    /// Another model.
    #[error("the snapshot's model has other tensors")]
    OtherModel,
    /// Made with another instruction set.
    #[error(
        "the snapshot was made with {found}, this machine runs {expected}: the run can go on, but its bytes \
         will differ from a run on one machine type"
    )]
    OtherInstructionSet {
        /// This machine's.
        expected: String,
        /// The snapshot's.
        found: String,
    },
    /// Another server optimizer.
    #[error(transparent)]
    Optimizer(#[from] OptimizerError),
}

impl Run {
    /// This run as bytes. Costs one pass over the model and its SHA-256, and a copy of the model.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512 + 4 * self.model.values().len());
        SnapshotParts::of(self).for_each(|part| bytes.extend(part));
        bytes
    }

    /// All before the model's values.
    fn head(&self) -> Vec<u8> {
        let optimizer = self.spec.strategy.optimizer.state();
        let mut bytes = Vec::with_capacity(512 + optimizer.len());
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(self.spec.manifest.as_bytes());
        write_option(&mut bytes, self.spec.prepared.as_ref(), |bytes, digest| {
            bytes.extend(digest.as_bytes());
        });
        bytes.extend(layout_digest(self.model.layout()).as_bytes());
        let name = self.spec.instruction_set.as_bytes();
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend(name);
        self.state.write(&mut bytes);
        bytes.extend((optimizer.len() as u64).to_le_bytes());
        bytes.extend(optimizer);
        bytes.extend((self.model.values().len() as u64).to_le_bytes());
        bytes
    }

    /// The run `spec` with a model of `layout`, from where `snapshot` left it.
    ///
    /// # Errors
    /// The snapshot is of another job, other data, another model or another machine type.
    pub fn restore(
        mut spec: RunSpec,
        layout: &Arc<Layout>,
        snapshot: Snapshot,
    ) -> Result<Self, SnapshotError> {
        let Snapshot {
            identity,
            state,
            optimizer,
            values,
        } = snapshot;
        if identity.manifest != spec.manifest {
            let (expected, found) = (spec.manifest, identity.manifest);
            return Err(SnapshotError::OtherJob { expected, found });
        }
        if identity.prepared != spec.prepared {
            return Err(SnapshotError::OtherData);
        }
        let fits_stop =
            state.stop.map(|judge| judge.kind) == spec.stop.as_ref().map(|stop| stop.metric);
        if identity.layout != layout_digest(layout) || !fits_stop {
            return Err(SnapshotError::OtherModel);
        }
        if identity.instruction_set != spec.instruction_set {
            let (expected, found) = (spec.instruction_set, identity.instruction_set);
            return Err(SnapshotError::OtherInstructionSet { expected, found });
        }
        spec.strategy.optimizer.restore(&optimizer)?;
        let model =
            Parameters::new(Arc::clone(layout), values).map_err(|_| SnapshotError::OtherModel)?;
        Ok(Self { spec, model, state })
    }
}

/// The bytes of [`Run::snapshot`], part by part: no second model in memory.
pub struct SnapshotParts<R> {
    run: R,
    checksum: DigestWriter,
    next: Part,
}

/// Which part comes next.
#[derive(Debug, Clone, Copy)]
enum Part {
    Head,
    /// From this value on.
    Values(usize),
    Nothing,
}

impl<R: Borrow<Run>> SnapshotParts<R> {
    /// Of a run that is borrowed or shared.
    pub fn of(run: R) -> Self {
        Self {
            run,
            checksum: DigestWriter::default(),
            next: Part::Head,
        }
    }
}

impl<R: Borrow<Run>> Iterator for SnapshotParts<R> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        const VALUES: usize = 1 << 18;
        let run = self.run.borrow();
        let values = run.model.values();
        let part = match self.next {
            Part::Nothing => return None,
            Part::Head => {
                self.next = Part::Values(0);
                run.head()
            }
            Part::Values(from) if from < values.len() => {
                let to = values.len().min(from + VALUES);
                self.next = Part::Values(to);
                let mut bytes = Vec::with_capacity(4 * (to - from));
                for value in &values[from..to] {
                    bytes.extend_from_slice(&value.to_le_bytes());
                }
                bytes
            }
            Part::Values(_) => {
                self.next = Part::Nothing;
                let checksum = core::mem::take(&mut self.checksum);
                return Some(checksum.finish().as_bytes().to_vec());
            }
        };
        self.checksum.bytes(&part);
        Some(part)
    }
}

impl Snapshot {
    /// Takes the bytes of [`Run::snapshot`] apart.
    ///
    /// # Errors
    /// Bytes that are damaged, or no snapshot of this format.
    pub fn parse(bytes: &[u8]) -> Result<Self, SnapshotError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(SnapshotError::Magic);
        }
        let mut reader = Reader::new(bytes);
        reader.take(MAGIC.len())?;
        match reader.u16()? {
            FORMAT => {}
            found => return Err(SnapshotError::Format { found }),
        }
        let (body, checksum) = bytes
            .split_last_chunk::<32>()
            .ok_or(SnapshotError::Checksum)?;
        if Digest::of(body).as_bytes() != checksum {
            return Err(SnapshotError::Checksum);
        }
        let identity = Identity::read(&mut reader)?;
        let state = State::read(&mut reader)?;
        let optimizer = sized(&mut reader, 1)?.to_vec();
        let values = sized(&mut reader, 4)?.as_chunks::<4>().0;
        let values = values
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        match reader.left() {
            32 => Ok(Self {
                identity,
                state,
                optimizer,
                values,
            }),
            _ => Err(SnapshotError::Malformed { at: reader.at() }),
        }
    }

    /// Rounds that were over.
    pub fn round(&self) -> u64 {
        self.state.round
    }

    /// The instruction set with which it was made.
    pub fn instruction_set(&self) -> &str {
        &self.identity.instruction_set
    }

    /// The same, declared to be of `instruction_set`: whoever resumes on another machine type says so.
    pub fn on_instruction_set(mut self, instruction_set: &str) -> Self {
        self.identity.instruction_set = instruction_set.into();
        self
    }
}

impl Identity {
    fn read(reader: &mut Reader<'_>) -> Result<Self, SnapshotError> {
        let manifest = Digest::from_bytes(reader.array()?);
        let prepared = read_option(reader, |reader| Ok(Digest::from_bytes(reader.array()?)))?;
        let layout = Digest::from_bytes(reader.array()?);
        let len = usize::from(reader.u16()?);
        let at = reader.at();
        let name = core::str::from_utf8(reader.take(len)?);
        let instruction_set = name.map_err(|_| SnapshotError::Malformed { at })?.into();
        Ok(Self {
            manifest,
            prepared,
            layout,
            instruction_set,
        })
    }
}

impl State {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.round.to_le_bytes());
        bytes.extend(self.version.0.to_le_bytes());
        bytes.extend(self.time.ms.to_le_bytes());
        write_option(bytes, self.evaluated.as_ref(), |bytes, version| {
            bytes.extend(version.0.to_le_bytes());
        });
        bytes.extend(self.abandoned.to_le_bytes());
        bytes.extend(self.abandoned_in_a_row.to_le_bytes());
        self.best.write(bytes);
        write_option(bytes, self.stop.as_ref(), |bytes, judge| judge.write(bytes));
        bytes.push(self.is_reached.into());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, SnapshotError> {
        Ok(Self {
            round: reader.u64()?,
            version: ModelVersion(reader.u64()?),
            time: Time { ms: reader.u64()? },
            evaluated: read_option(reader, |reader| Ok(ModelVersion(reader.u64()?)))?,
            abandoned: reader.u64()?,
            abandoned_in_a_row: reader.u32()?,
            best: Judge::read(reader)?,
            stop: read_option(reader, Judge::read)?,
            is_reached: flag(reader)?,
        })
    }
}

impl Judge {
    fn write(&self, bytes: &mut Vec<u8>) {
        let place = MetricKind::ALL
            .iter()
            .position(|&kind| kind == self.kind)
            .unwrap_or(0);
        bytes.push(place as u8);
        write_option(bytes, self.best.as_ref(), |bytes, best| {
            bytes.extend(best.round.to_le_bytes());
            bytes.extend(best.value.to_le_bytes());
        });
        bytes.extend(self.since.to_le_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, SnapshotError> {
        let at = reader.at();
        let [place] = reader.array()?;
        let kind = MetricKind::ALL.get(usize::from(place)).copied();
        let kind = kind.ok_or(SnapshotError::Malformed { at })?;
        let best = read_option(reader, |reader| {
            Ok(Best {
                round: reader.u64()?,
                value: f64::from_bits(reader.u64()?),
            })
        })?;
        Ok(Self {
            kind,
            best,
            since: reader.u32()?,
        })
    }
}

fn write_option<T>(bytes: &mut Vec<u8>, value: Option<&T>, write: impl Fn(&mut Vec<u8>, &T)) {
    bytes.push(value.is_some().into());
    if let Some(value) = value {
        write(bytes, value);
    }
}

fn read_option<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, SnapshotError>,
) -> Result<Option<T>, SnapshotError> {
    flag(reader)?.then(|| read(reader)).transpose()
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, SnapshotError> {
    let at = reader.at();
    match reader.array()? {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(SnapshotError::Malformed { at }),
    }
}

/// A count in 8 bytes, then so many elements of `size` bytes.
fn sized<'a>(reader: &mut Reader<'a>, size: usize) -> Result<&'a [u8], SnapshotError> {
    let at = reader.at();
    let count = usize::try_from(reader.u64()?)
        .ok()
        .and_then(|count| count.checked_mul(size));
    Ok(reader.take(count.ok_or(SnapshotError::Malformed { at })?)?)
}

fn layout_digest(layout: &Layout) -> Digest {
    let mut writer = DigestWriter::new("commonweal/layout/1");
    for tensor in layout.tensors() {
        writer.field(tensor.name.as_bytes());
        writer.number(match tensor.scope {
            Scope::Shared => 0,
            Scope::Frozen => 1,
            Scope::Local => 2,
        });
        writer.number(tensor.shape.len() as u64);
        tensor
            .shape
            .iter()
            .for_each(|&size| writer.number(size as u64));
    }
    writer.finish()
}

impl From<Truncated> for SnapshotError {
    fn from(truncated: Truncated) -> Self {
        Self::Malformed { at: truncated.at }
    }
}
