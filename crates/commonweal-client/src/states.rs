//! Client states: what a trainer keeps of a run between rounds. Never leaves the node.
//!
//! A new state lies beside the old one from the moment it is made, and takes its place only when the server says that
//! the update that came with it was counted: across restarts of both.

use std::fs;
use std::path::PathBuf;

use commonweal_core::{ClientState, Digest, TaskId};
use commonweal_disk::file::{FileError, read_bytes, write_bytes};

use crate::folder::{NodeFolder, create_private_folder};
use crate::request::is_run;

/// The states of all runs of a node.
#[derive(Debug, Clone)]
pub(crate) struct States(PathBuf);

/// Why a state cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file is not what was written.
    #[error("the client state in {} is damaged: deny the run, or restore the file", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

const MAGIC: [u8; 4] = *b"CWs1";

impl States {
    /// Those of a node.
    pub(crate) fn of(folder: &NodeFolder) -> Self {
        Self(folder.states())
    }

    /// The state of a run; empty before its first counted round.
    pub(crate) fn load(&self, run: &str) -> Result<ClientState, StateError> {
        let path = self.current(run);
        let bytes = match read_bytes(&path) {
            Err(FileError::Missing { .. }) => return Ok(ClientState::default()),
            bytes => bytes?,
        };
        parse(&bytes).ok_or(StateError::Damaged { path })
    }

    /// Puts a new state beside the run's own, in place of an earlier one that was never counted.
    pub(crate) fn stage(
        &self,
        run: &str,
        task: TaskId,
        state: &ClientState,
    ) -> Result<(), StateError> {
        create_private_folder(&self.0)?;
        self.drop_staged(run);
        Ok(write_bytes(&self.staged(run, task), &encode(state))?)
    }

    /// The task is settled: the state that was staged for it becomes the run's if it was counted, else goes.
    pub(crate) fn settle(&self, run: &str, task: TaskId, counted: bool) -> Result<(), StateError> {
        let staged = self.staged(run, task);
        if !staged.exists() {
            return Ok(());
        }
        let current = self.current(run);
        match counted {
            true => fs::rename(&staged, &current)
                .and_then(|()| fs::File::open(&self.0)?.sync_all())
                .map_err(|error| FileError::of(&current, error).into()),
            false => fs::remove_file(&staged).map_err(|error| FileError::of(&staged, error).into()),
        }
    }

    /// The run is over, or another one of the same name has begun.
    pub(crate) fn forget(&self, run: &str) {
        self.drop_staged(run);
        let _ = fs::remove_file(self.current(run));
    }

    fn drop_staged(&self, run: &str) {
        let Ok(entries) = fs::read_dir(&self.0) else {
            return;
        };
        let prefix = format!("{run}.staged.");
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn current(&self, run: &str) -> PathBuf {
        debug_assert!(is_run(run), "{run:?}");
        self.0.join(format!("{run}.state"))
    }

    fn staged(&self, run: &str, task: TaskId) -> PathBuf {
        self.0.join(format!("{run}.staged.{task}"))
    }
}

fn encode(state: &ClientState) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(state.version.to_le_bytes());
    bytes.extend(Digest::of(&state.bytes).as_bytes());
    bytes.extend(&state.bytes);
    bytes
}

fn parse(bytes: &[u8]) -> Option<ClientState> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (digest, rest) = rest.split_first_chunk::<32>()?;
    let is_whole = *magic == MAGIC && Digest::of(rest).as_bytes() == digest;
    is_whole.then(|| ClientState {
        version: u16::from_le_bytes(*version),
        bytes: rest.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use commonweal_core::Stage;

    use super::*;

    fn task(round: u64) -> TaskId {
        TaskId {
            round,
            stage: Stage::Train,
            attempt: 0,
        }
    }

    fn state(byte: u8) -> ClientState {
        ClientState {
            version: 3,
            bytes: vec![byte; 5],
        }
    }

    fn states() -> (tempfile::TempDir, States) {
        let folder = tempfile::tempdir().unwrap();
        let states = States::of(&NodeFolder::at(folder.path()));
        (folder, states)
    }

    #[test]
    fn a_state_advances_only_when_its_update_was_counted() {
        let (_folder, states) = states();
        assert_eq!(states.load("a-1").unwrap(), ClientState::default());
        states.stage("a-1", task(1), &state(1)).unwrap();
        assert_eq!(states.load("a-1").unwrap(), ClientState::default());
        states.settle("a-1", task(1), true).unwrap();
        assert_eq!(states.load("a-1").unwrap(), state(1));
        states.stage("a-1", task(2), &state(2)).unwrap();
        states.settle("a-1", task(2), false).unwrap();
        states.settle("a-1", task(2), true).unwrap();
        assert_eq!(states.load("a-1").unwrap(), state(1));
    }

    #[test]
    fn a_state_that_was_never_settled_is_not_taken_for_another_rounds() {
        let (_folder, states) = states();
        states.stage("a-1", task(1), &state(1)).unwrap();
        states.stage("a-1", task(2), &state(2)).unwrap();
        states.settle("a-1", task(1), true).unwrap();
        assert_eq!(states.load("a-1").unwrap(), ClientState::default());
        states.settle("a-1", task(2), true).unwrap();
        assert_eq!(states.load("a-1").unwrap(), state(2));
        assert_eq!(states.load("a-10").unwrap(), ClientState::default());
    }

    #[test]
    fn a_damaged_state_is_not_trained_with() {
        let (folder, states) = states();
        states.stage("a-1", task(1), &state(1)).unwrap();
        states.settle("a-1", task(1), true).unwrap();
        let path = folder.path().join("states/a-1.state");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(
            states.load("a-1"),
            Err(StateError::Damaged { .. })
        ));
    }

    #[test]
    fn a_run_that_is_over_leaves_nothing() {
        let (folder, states) = states();
        states.stage("a-1", task(1), &state(1)).unwrap();
        states.settle("a-1", task(1), true).unwrap();
        states.stage("a-1", task(2), &state(2)).unwrap();
        states.forget("a-1");
        assert_eq!(
            fs::read_dir(folder.path().join("states")).unwrap().count(),
            0
        );
    }
}
