//! Why something that a client sent does not count.

use crate::payload::PayloadError;
use crate::{MetricError, ModelVersion, PrepareError, Stage, TaskId, WeightError};

/// Why an event or a report was refused. The round itself goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No client of this name is in the population.
    #[error("the client is unknown")]
    UnknownClient,
    /// The client is not in this round's cohort.
    #[error("the client is not in this round's cohort")]
    NotInCohort,
    /// A second check-in or report from one client.
    #[error("the client has done this already")]
    Duplicate,
    /// The client failed before, or was given up.
    #[error("the client has left this round")]
    Gone,
    /// The step's time is over.
    #[error("it came after its deadline")]
    Late,
    /// The round needs no more reports.
    #[error("the round has all the reports it needs")]
    NotNeeded,
    /// A report before the task, a check-in after it, or a step that the session does not have.
    #[error("it is not what the round waits for")]
    OutOfOrder,
    /// The round is over.
    #[error("the round is over")]
    Over,
    /// A report on another task, such as an earlier round's.
    #[error("the report is on task {found}, the round's is {expected}")]
    WrongTask {
        /// The round's.
        expected: TaskId,
        /// The report's.
        found: TaskId,
    },
    /// A report of another kind of task.
    #[error("the report is of a {found} task, the round's is {expected}")]
    WrongStage {
        /// The round's.
        expected: Stage,
        /// The report's.
        found: Stage,
    },
    /// The update was made from another model.
    #[error("the report is about {found} of the model, the round is about {expected}")]
    WrongBase {
        /// The round's.
        expected: ModelVersion,
        /// The report's.
        found: ModelVersion,
    },
    /// The update has another length than the model.
    #[error("the update has {found} values, the model {expected}")]
    WrongLength {
        /// The shared values of the model, and those of the extra vectors.
        expected: usize,
        /// Values of the update.
        found: usize,
    },
    /// A value of the update is above the largest.
    #[error("the update has a value that is above the largest")]
    OutOfRange,
    /// The weight is above the largest of the round.
    #[error(transparent)]
    Weight(#[from] WeightError),
    /// The bytes are no report.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The metric sums are impossible.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The sums of `prepare` are impossible.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
}

impl Refusal {
    /// Whether the report itself is at fault: the same client's next one would be no better.
    pub fn is_final(&self) -> bool {
        match self {
            Self::UnknownClient
            | Self::NotInCohort
            | Self::Duplicate
            | Self::Gone
            | Self::Late
            | Self::NotNeeded
            | Self::OutOfOrder
            | Self::Over
            | Self::WrongTask { .. } => false,
            Self::WrongStage { .. }
            | Self::WrongBase { .. }
            | Self::WrongLength { .. }
            | Self::OutOfRange
            | Self::Weight(_)
            | Self::Payload(_)
            | Self::Metric(_)
            | Self::Prepare(_) => true,
        }
    }
}
