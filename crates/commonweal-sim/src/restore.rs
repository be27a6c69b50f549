//! From a checkpoint back to a run.

use std::path::Path;

use commonweal_core::{Parameters, Run, Snapshot, SnapshotError};
use commonweal_train::instruction_set;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::error::SimulationError;
use crate::federation::{Federation, simulation_digest};
use crate::folder::RunFolder;
use crate::observer::{Event, Observer};
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
