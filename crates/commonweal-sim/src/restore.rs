//! From a checkpoint back to a run.

use std::path::Path;

use commonweal_core::{Parameters, Run, Snapshot, SnapshotError};
use commonweal_disk::folder::RunFolder;
use commonweal_disk::observer::{Event, Observer};
use commonweal_train::instruction_set;

use crate::checkpoint::{Checkpoint, CheckpointError, Checkpoints};
use crate::error::SimulationError;
use crate::federation::{Federation, simulation_digest};
use crate::seed_run::Progress;
use crate::states::{StateError, StateStore};

/// The run as the checkpoint in `path` left it.
pub(crate) fn restore(
    federation: &Federation,
    folder: &RunFolder,
    path: &Path,
    initial: &Parameters,
    observer: &mut dyn Observer,
) -> Result<(Run, Progress, StateStore), SimulationError> {
    let Checkpoint {
        header,
        run,
        states,
    } = Checkpoint::read(path)?;
    let unfit = |source| SimulationError::Snapshot {
        path: path.to_path_buf(),
        source,
    };
    if header.simulation != simulation_digest(&federation.job) {
        let path = path.to_path_buf();
        return Err(CheckpointError::OtherSimulation { path }.into());
    }
    let mut snapshot = Snapshot::parse(&run).map_err(unfit)?;
    let here = instruction_set().to_string();
    if snapshot.instruction_set() != here {
        let message = format!(
            "the run began with {}, this machine uses {here}: it goes on, but its model will not be the \
             same bytes as on one machine type",
            snapshot.instruction_set()
        );
        observer.event(&Event::Warning { message });
        snapshot = snapshot.on_instruction_set(&here);
    }
    let run = Run::restore(federation.run_spec()?, initial.layout(), snapshot).map_err(unfit)?;
    let progress = Progress {
        seconds_train: header.seconds_train,
        seconds_evaluate: header.seconds_evaluate,
        metrics: header.metrics,
        last_abandoned: None,
    };
    let states = StateStore::restore(folder.checkpoints(), &states)?;
    Ok((run, progress, states))
}

/// The clients' states in the last checkpoint, to be looked at; none if the checkpoints were removed.
pub(crate) fn states_at_end(folder: &RunFolder) -> Result<StateStore, SimulationError> {
    let folder = folder.checkpoints();
    match Checkpoints::new(folder.clone(), None).rounds()?.first() {
        None => Ok(StateStore::new(None)),
        Some((_, last)) => Ok(StateStore::look(folder, &Checkpoint::read(last)?.states)?),
    }
}

/// Whether the file is at fault, so that the one before it may still be good.
pub(crate) fn is_damage(error: &SimulationError) -> bool {
    matches!(
        error,
        SimulationError::Checkpoint(CheckpointError::Damaged { .. } | CheckpointError::File(_))
            | SimulationError::State(StateError::Lost { .. } | StateError::Index)
            | SimulationError::Snapshot {
                source: SnapshotError::Magic
                    | SnapshotError::Checksum
                    | SnapshotError::Malformed { .. },
                ..
            }
    )
}

#[cfg(test)]
mod tests {
    use commonweal_core::{ClientIndex, ClientState};

    use super::*;
    use crate::checkpoint::Header;
    use commonweal_disk::file;

    #[test]
    fn the_states_at_the_end_are_those_of_the_last_checkpoint_and_looking_changes_nothing() {
        let runs = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(runs.path(), "job").unwrap();
        assert!(states_at_end(&folder).unwrap().is_empty());
        let (client, states) = (ClientIndex(4), StateStore::new(Some(folder.checkpoints())));
        let state = |round: u64| ClientState {
            version: 1,
            bytes: vec![round as u8; 9],
        };
        let checkpoints = Checkpoints::new(folder.checkpoints(), None);
        for round in 1..=3 {
            let staged = states.stage(&state(round)).unwrap();
            states.commit([(client, staged)]);
            let header = Header {
                simulation: String::new(),
                round,
                seconds_train: 0.0,
                seconds_evaluate: 0.0,
                metrics: [].into(),
            };
            let (run, states) = (Vec::new(), states.mark().unwrap());
            let checkpoint = Checkpoint {
                header,
                run,
                states,
            };
            checkpoints.save(&checkpoint).unwrap();
        }
        states.stage(&state(9)).unwrap();
        let log = folder.checkpoints().join("states-0000.log");
        let before = file::read_bytes(&log).unwrap();
        let found = states_at_end(&folder).unwrap();
        assert_eq!(found.load(client).unwrap(), state(3));
        assert_eq!(file::read_bytes(&log).unwrap(), before);
    }
}
