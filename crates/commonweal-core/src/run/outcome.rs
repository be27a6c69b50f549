//! What a run does next, what a round changed, and why one cannot be committed.

use crate::{AggregateError, MetricSums, ModelVersion, TaskId};

/// What comes next in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Open a round of training.
    Train,
    /// Open an evaluation of the model.
    Evaluate,
    /// Nothing.
    End(End),
}

/// Why a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All rounds are done.
    Rounds,
    /// The stopping rule's value is reached.
    Reached,
    /// The stopping rule's patience is over.
    Patience,
    /// [`Run::MAX_ABANDONED`](crate::Run::MAX_ABANDONED) rounds in a row were abandoned.
    Abandoned,
}

/// What a committed round of training changed.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundOutcome {
    /// The round, counted from 1.
    pub round: u64,
    /// The model after it.
    pub version: ModelVersion,
    /// Clients that were configured.
    pub cohort: u32,
    /// Clients in the mean.
    pub clients: u32,
    /// Σ weight.
    pub weight: u64,
    /// Mean training loss, if clients measured it.
    pub train_loss: Option<f64>,
}

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationOutcome {
    /// The round after which the model was measured.
    pub round: u64,
    /// The model.
    pub version: ModelVersion,
    /// Clients that measured it.
    pub clients: u32,
    /// Their sums.
    pub sums: MetricSums,
    /// Whether it is the best so far by [`RunSpec::metric`](crate::RunSpec::metric).
    pub is_best: bool,
}

/// Why a round cannot be committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A round that is not the one that comes next.
    #[error("{found} cannot be committed where {expected} comes next")]
    OtherTask {
        /// The task that comes next.
        expected: TaskId,
        /// The round's.
        found: TaskId,
    },
    /// The accumulator does not hold exactly the counted reports.
    #[error("{expected} reports were counted, but the accumulator holds {found}")]
    Incomplete {
        /// Reports of the round.
        expected: u32,
        /// Reports in the accumulator.
        found: u32,
    },
    /// The reports do not become one.
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
}
