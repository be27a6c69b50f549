//! Why a simulation does not go on.

use std::path::PathBuf;

use commonweal_core::job::JobErrors;
use commonweal_core::{
    AggregateError, ClientName, CommitError, PrepareError, RunSpecError, SnapshotError,
};
use commonweal_data::{ApplyError, FeaturesError, PartitionError};
use commonweal_disk::file::FileError;
use commonweal_disk::model_file::ModelFileError;
use commonweal_disk::table::TableError;
use commonweal_disk::{JsonError, NoEntropy, SourceError};
use commonweal_train::ModelError;
use commonweal_worker::WorkerError;

use crate::checkpoint::CheckpointError;
use crate::states::StateError;

/// Why a simulation cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// Rounds were abandoned in a row. What was reached is in the last checkpoint.
    #[error(
        "{in_a_row} rounds in a row were abandoned, the last one, round {round}, because {reason}. \
         The model of before is kept"
    )]
    Abandoned {
        /// The last round.
        round: u64,
        /// How many were abandoned in a row.
        in_a_row: u32,
        /// Why the last one was.
        reason: String,
    },
    /// The `prepare` task was abandoned.
    #[error("`prepare` was abandoned because {reason}")]
    PrepareAbandoned {
        /// Why.
        reason: String,
    },
    /// A client's columns cannot be summed up.
    #[error("client {client}: {source}")]
    Prepare {
        /// The client.
        client: ClientName,
        /// What is wrong.
        source: PrepareError,
    },
    /// What all clients summed up says nothing.
    #[error("prepare: {0}")]
    Prepared(PrepareError),
    /// Nobody can train any more.
    #[error("{what}")]
    TrainerLost {
        /// What happened and what to do.
        what: String,
    },
    /// A trainer in this process panicked.
    #[error(
        "the trainer panicked at client {client}: {what}. The model of before is in the last checkpoint"
    )]
    Panicked {
        /// The client.
        client: ClientName,
        /// The panic's message.
        what: String,
    },
    /// The job names a trainer that nobody says how to start.
    #[error(
        "the job's trainer is {trainer:?}, and nothing says how to start it here: add \
         [simulation.trainers] {trainer} = {{ command = [\"python\", \"train.py\"] }} to the job"
    )]
    UnknownTrainer {
        /// Its name.
        trainer: String,
    },
    /// A model of kind `external` without a trainer that declares it.
    #[error(
        "model.kind = \"external\" leaves the model to a trainer of your own: name it in training.trainer"
    )]
    NoExternalModel,
    /// The job of the run folder is another than when the run began.
    #[error(
        "{} was changed since the run began (its manifest is {found}, the run's {expected}): put it back \
         and resume with the job that it began with, or start a new run with `commonweal simulate {}`",
        job.display(), job.display()
    )]
    OtherJob {
        /// The job.
        job: PathBuf,
        /// Digest of the manifest that the run began with.
        expected: String,
        /// Digest of the job's manifest as it is now.
        found: String,
    },
    /// The job of the run folder describes other clients than when the run began.
    #[error(
        "{} has another [simulation] section than when the run began: put it back as it was, or start a \
         new run with `commonweal simulate {}`", job.display(), job.display()
    )]
    OtherSimulation {
        /// The job.
        job: PathBuf,
    },
    /// A state of the round machine that no sequence of events should lead to.
    #[error("the round did not end although every client has: please report this")]
    Unfinished,
    /// The job is faulty.
    #[error(transparent)]
    Job(#[from] JobErrors),
    /// The data cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The rows cannot be dealt.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The features are faulty.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// What `prepare` found does not fit the data.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The model does not fit the data.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The job does not fit the data.
    #[error(transparent)]
    RunSpec(#[from] RunSpecError),
    /// A worker process failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// Reports cannot be summed.
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
    /// A round cannot be committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint is of another run.
    #[error("{}: {source}", path.display())]
    Snapshot {
        /// The checkpoint.
        path: PathBuf,
        /// What does not fit.
        source: SnapshotError,
    },
    /// Client states cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// A model file cannot be used.
    #[error(transparent)]
    ModelFile(#[from] ModelFileError),
    /// A table of the run folder cannot be used.
    #[error("{}: {source}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: TableError,
    },
    /// A record of the run folder cannot be used.
    #[error(transparent)]
    Record(#[from] JsonError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// No secret randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}
