//! Checkpoint files: everything that a killed run needs to go on as if nothing had happened.
//!
//! Layout: 8 bytes `CWCHECK1`, the SHA-256 of all that follows, then three sections, each with its
//! length as a little-endian `u64`: a JSON header, the run's snapshot, the index of client states.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use commonweal_core::Digest;
use commonweal_disk::file::{self, FileError};
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"CWCHECK1";
const DIGEST_BYTES: usize = 32;

/// One checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What it belongs to and where the run stood.
    pub header: Header,
    /// Snapshot of the core's run: parameters, server optimizer, stopping rule, round.
    pub run: Vec<u8>,
    /// Which client has which state in the state log ([`crate::states`]).
    pub states: Vec<u8>,
}

/// What a checkpoint belongs to besides the job, and how far its run had come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Digest of the part of `[simulation]` that a result depends on.
    pub simulation: String,
    /// Rounds that are done.
    pub round: u64,
    /// Training and aggregation so far.
    pub seconds_train: f64,
    /// Evaluation so far.
    pub seconds_evaluate: f64,
    /// Metrics of the last evaluation, by name.
    pub metrics: BTreeMap<String, f64>,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file is cut, changed or something else.
    #[error("checkpoint {} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// It was made with other clients.
    #[error(
        "checkpoint {} was made with another [simulation] section: put it back as it was, or start \
         a new run", path.display()
    )]
    OtherSimulation {
        /// The file.
        path: PathBuf,
    },
    /// No file of the run can be used.
    #[error(
        "no checkpoint in {} can be used: start the run again with `commonweal simulate {}`",
        folder.display(), job.display()
    )]
    NoneLeft {
        /// Folder of the checkpoints.
        folder: PathBuf,
        /// The job.
        job: PathBuf,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Checkpoint {
    /// Writes the checkpoint whole or not at all.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        file::write_bytes(path, &self.to_bytes())
    }

    /// Reads and verifies a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`] if a byte is missing or changed, or the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = file::read_bytes(path)?;
        Self::from_bytes(&bytes).map_err(|what| CheckpointError::Damaged {
            path: path.to_path_buf(),
            what,
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        // Unwrap safety: the header is numbers and texts, which JSON can always write.
        #[expect(clippy::unwrap_used)]
        let header = serde_json::to_vec(&self.header).unwrap();
        let mut body = Vec::with_capacity(header.len() + self.run.len() + self.states.len() + 24);
        for section in [&header, &self.run, &self.states] {
            body.extend_from_slice(&(section.len() as u64).to_le_bytes());
            body.extend_from_slice(section);
        }
        let mut bytes = Vec::with_capacity(MAGIC.len() + DIGEST_BYTES + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(Digest::of(&body).as_bytes());
        bytes.append(&mut body);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let rest = bytes
            .strip_prefix(MAGIC)
            .ok_or("it does not begin as a checkpoint does")?;
        let (digest, mut body) = rest
            .split_at_checked(DIGEST_BYTES)
            .ok_or("it ends within its digest")?;
        if Digest::of(body).as_bytes() != digest {
            return Err("its digest is not that of its content".to_owned());
        }
        let header = section(&mut body).ok_or("it has no header")?;
        let run = section(&mut body).ok_or("it has no snapshot")?.to_vec();
        let states = section(&mut body).ok_or("it has no states")?.to_vec();
        let header = serde_json::from_slice(header).map_err(|error| error.to_string())?;
        Ok(Self {
            header,
            run,
            states,
        })
    }
}

fn section<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = body.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (section, rest) = rest.split_at_checked(length)?;
    *body = rest;
    Some(section)
}

/// The checkpoints of one run: the last two, the best, and every k-th.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    every: Option<u32>,
}

impl Checkpoints {
    /// Those in `folder`, keeping every `every`-th.
    #[must_use]
    pub fn new(folder: PathBuf, every: Option<u32>) -> Self {
        Self { folder, every }
    }

    /// Whether the job asks to keep the checkpoint of `round`.
    #[must_use]
    pub fn keeps(&self, round: u64) -> bool {
        self.every
            .is_some_and(|every| round.is_multiple_of(u64::from(every.max(1))))
    }

    /// Writes a checkpoint and removes those that are neither the last two nor a k-th.
    ///
    /// # Errors
    /// [`FileError`]; the older checkpoints are then still there.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<PathBuf, FileError> {
        file::create_folder(&self.folder)?;
        let path = self.path(checkpoint.header.round);
        checkpoint.write(&path)?;
        for (round, path) in self.rounds()?.into_iter().skip(2) {
            if !self.keeps(round) {
                fs::remove_file(&path).map_err(|error| FileError::of(&path, error))?;
            }
        }
        Ok(path)
    }

    /// Writes the best checkpoint so far, in place of the one before.
    ///
    /// # Errors
    /// [`FileError`]; the one before is then still there.
    pub fn save_best(&self, checkpoint: &Checkpoint) -> Result<(), FileError> {
        file::create_folder(&self.folder)?;
        checkpoint.write(&self.best())
    }

    /// File of the best checkpoint.
    #[must_use]
    pub fn best(&self) -> PathBuf {
        self.folder.join("best.checkpoint")
    }

    /// Removes the checkpoints after `round`, which a resumed run writes anew.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn forget_after(&self, round: u64) -> Result<(), FileError> {
        for (_, path) in self
            .rounds()?
            .into_iter()
            .filter(|&(later, _)| later > round)
        {
            fs::remove_file(&path).map_err(|error| FileError::of(&path, error))?;
        }
        Ok(())
    }

    /// The files by round, the last round first.
    ///
    /// # Errors
    /// [`FileError`] if the folder cannot be read.
    pub fn rounds(&self) -> Result<Vec<(u64, PathBuf)>, FileError> {
        if !self.folder.is_dir() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&self.folder)
            .map_err(|error| FileError::of_reading(&self.folder, error))?;
        let mut found: Vec<(u64, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let round = name.strip_prefix("round-")?.strip_suffix(".checkpoint")?;
                Some((round.parse().ok()?, entry.path()))
            })
            .collect();
        found.sort_by_key(|&(round, _)| std::cmp::Reverse(round));
        Ok(found)
    }

    fn path(&self, round: u64) -> PathBuf {
        self.folder.join(format!("round-{round:06}.checkpoint"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(round: u64) -> Checkpoint {
        Checkpoint {
            header: Header {
                simulation: "sha256:aa".to_owned(),
                round,
                seconds_train: 1.5,
                seconds_evaluate: 0.5,
                metrics: [("accuracy".to_owned(), 0.9)].into(),
            },
            run: vec![1, 2, 3],
            states: vec![4; 100],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.checkpoint");
        checkpoint(3).write(&path).unwrap();
        assert_eq!(Checkpoint::read(&path).unwrap(), checkpoint(3));
    }

    #[test]
    fn no_cut_and_no_changed_byte_goes_unnoticed() {
        let bytes = checkpoint(3).to_bytes();
        for at in 0..bytes.len() {
            assert!(Checkpoint::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Checkpoint::from_bytes(&changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn the_last_two_and_every_fifth_stay() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path().join("checkpoints"), Some(5));
        for round in 1..=12 {
            checkpoints.save(&checkpoint(round)).unwrap();
        }
        let rounds: Vec<_> = checkpoints
            .rounds()
            .unwrap()
            .iter()
            .map(|(round, _)| *round)
            .collect();
        assert_eq!(rounds, [12, 11, 10, 5]);
    }
}
