//! What one seed's run writes while it goes on: its history and its checkpoints.

use std::fs::{File, OpenOptions};
use std::io::BufWriter;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use commonweal_disk::file::{self, FileError};
use commonweal_disk::folder::RunFolder;
use commonweal_disk::history::{HistoryWriter, RoundRow, read_history_until};
use commonweal_disk::table::TableError;

use crate::checkpoint::{Checkpoint, Checkpoints};
use crate::error::SimulationError;

/// Time between two checkpoints that nothing else asks for: what a killed run repeats at most.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// The files of a run that is under way.
pub(crate) struct Records {
    folder: RunFolder,
    history: HistoryWriter<File>,
    checkpoints: Checkpoints,
    /// The best model so far, if it is better than the one on disk.
    best: Option<Checkpoint>,
    saved_at: Instant,
}

impl Records {
    /// Starts the files of a run in `folder`, or goes on after `round` with those that are there.
    pub(crate) fn open(
        folder: &RunFolder,
        checkpoints: Checkpoints,
        metrics: &[String],
        round: u64,
    ) -> Result<Self, SimulationError> {
        folder.ensure()?;
        checkpoints.forget_after(round)?;
        let history = history_until(folder, metrics, round)?;
        let (folder, saved_at) = (folder.clone(), Instant::now());
        Ok(Self {
            folder,
            history,
            checkpoints,
            best: None,
            saved_at,
        })
    }

    /// Adds a round to the history.
    pub(crate) fn write(&mut self, row: &RoundRow) -> Result<(), SimulationError> {
        let path = || self.folder.history();
        self.history
            .write(row)
            .map_err(|source| SimulationError::Table {
                path: path(),
                source,
            })
    }

    /// Whether a checkpoint is due after `round`.
    pub(crate) fn is_due(&self, round: u64) -> bool {
        self.checkpoints.keeps(round) || self.saved_at.elapsed() >= CHECKPOINT_EVERY
    }

    /// Keeps the best model so far; it goes to disk with the next checkpoint.
    pub(crate) fn keep_best(&mut self, checkpoint: Checkpoint) {
        self.best = Some(checkpoint);
    }

    /// Writes a checkpoint, and the best one if it is new. The history reaches the disk before.
    pub(crate) fn save(&mut self, checkpoint: &Checkpoint) -> Result<PathBuf, SimulationError> {
        let path = self.folder.history();
        self.history
            .get_ref()
            .sync_data()
            .map_err(|error| FileError::of(&path, error))?;
        // First: a run that goes on from this checkpoint does not come by its best model again.
        if let Some(best) = &self.best {
            self.checkpoints.save_best(best)?;
            self.best = None;
        }
        let path = self.checkpoints.save(checkpoint)?;
        self.saved_at = Instant::now();
        Ok(path)
    }
}

/// The history with the rounds up to `round`, to be gone on with.
fn history_until(
    folder: &RunFolder,
    metrics: &[String],
    round: u64,
) -> Result<HistoryWriter<File>, SimulationError> {
    let path = folder.history();
    let table = |source| SimulationError::Table {
        path: path.clone(),
        source,
    };
    let mut rows = Vec::new();
    if round > 0 && path.is_file() {
        rows = read_history_until(file::read_bytes(&path)?.as_slice(), round).map_err(table)?;
    }
    let mut failed = None;
    file::write_whole(&path, |out| {
        let written = write_rows(out, metrics, &rows);
        written.or_else(|error| {
            failed = Some(error);
            Ok(())
        })
    })?;
    if let Some(source) = failed {
        return Err(table(source));
    }
    let file = OpenOptions::new().append(true).open(&path);
    let file = file.map_err(|error| FileError::of(&path, error))?;
    Ok(HistoryWriter::append(file, metrics))
}

fn write_rows(
    out: &mut BufWriter<File>,
    metrics: &[String],
    rows: &[RoundRow],
) -> Result<(), TableError> {
    let mut writer = HistoryWriter::create(out, metrics)?;
    rows.iter().try_for_each(|row| writer.write(row))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::checkpoint::Header;

    fn checkpoint(round: u64) -> Checkpoint {
        Checkpoint {
            header: Header {
                simulation: String::new(),
                round,
                seconds_train: 0.0,
                seconds_evaluate: 0.0,
                metrics: [].into(),
            },
            run: vec![round as u8],
            states: Vec::new(),
        }
    }

    #[test]
    fn the_best_model_is_on_disk_before_the_checkpoint_that_forgets_it() {
        let runs = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(runs.path(), "job").unwrap();
        let checkpoints = Checkpoints::new(folder.checkpoints(), None);
        let best = checkpoints.best();
        let mut records = Records::open(&folder, checkpoints, &[], 0).unwrap();
        records.keep_best(checkpoint(1));

        // A folder in a file's place fails a write as a full disk does.
        fs::create_dir_all(best.join("in the way")).unwrap();
        assert!(records.save(&checkpoint(2)).is_err());
        let round = folder.checkpoints().join("round-000002.checkpoint");
        assert!(!round.exists());

        fs::remove_dir_all(&best).unwrap();
        fs::create_dir_all(round.join("in the way")).unwrap();
        assert!(records.save(&checkpoint(2)).is_err());
        assert_eq!(Checkpoint::read(&best).unwrap(), checkpoint(1));
    }
}
