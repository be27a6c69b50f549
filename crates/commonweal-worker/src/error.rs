//! Why a worker gave no result, with everything that its user needs to mend it.

use std::io;
use std::process::ExitStatus;

use commonweal_core::TrainError;

use crate::body::BodyError;
use crate::message::{ErrorCode, PROTOCOL, Reply};
use crate::process::Fault;

/// Why a worker gave no result.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The job names no program.
    #[error(
        "trainer {trainer:?} has an empty command: set simulation.trainers.{trainer}.command to the \
         program and its arguments, such as [\"python\", \"train.py\"]"
    )]
    NoCommand {
        /// The trainer's name in the job.
        trainer: String,
    },
    /// The program could not be started.
    #[error(
        "cannot start trainer {trainer:?}: {program:?}: {why}; check that it is installed and on the \
         PATH, or correct simulation.trainers.{trainer}.command"
    )]
    Start {
        /// The trainer's name in the job.
        trainer: String,
        /// The program.
        program: String,
        /// What the operating system says.
        why: io::Error,
    },
    /// Bytes could not be exchanged through a file.
    #[error(
        "cannot {what} for the worker processes: {why}; is the disk full? TMPDIR names another"
    )]
    File {
        /// What was tried.
        what: String,
        /// What the operating system says.
        why: io::Error,
    },
    /// The process is of no more use; it is started again for the next request.
    #[error("{place} {fault}{}{stderr}", ended(*.status, .stderr))]
    Fault {
        /// The worker and what it was doing.
        place: String,
        /// What happened.
        fault: Fault,
        /// How the process ended, if it did so by itself.
        status: Option<ExitStatus>,
        /// Its last lines on standard error.
        stderr: String,
    },
    /// The worker speaks another version.
    #[error(
        "{place} speaks protocol version {found}, this program {PROTOCOL}: use the commonweal_worker that came with it"
    )]
    Protocol {
        /// The worker.
        place: String,
        /// Its version.
        found: u32,
    },
    /// A promise that cannot be kept or checked.
    #[error("{place} promises a heartbeat every {found} ms; between 10 and 60000 are possible")]
    Heartbeat {
        /// The worker.
        place: String,
        /// Its promise.
        found: u64,
    },
    /// A message that has no place here.
    #[error("{place} sent {found:?} where that makes no sense")]
    Unexpected {
        /// The worker and what it was doing.
        place: String,
        /// The message's type.
        found: String,
    },
    /// The worker says that it cannot do what is asked, or does not understand such requests.
    #[error("{place} cannot do that: {what}")]
    Unable {
        /// The worker and what it was doing.
        place: String,
        /// What it cannot do.
        what: String,
    },
    /// The worker's answer was refused.
    #[error("{place}: {why}")]
    Body {
        /// The worker and what it was doing.
        place: String,
        /// Why.
        why: BodyError,
    },
    /// The user's code failed; the process goes on.
    #[error("{place} failed: {text}")]
    Code {
        /// The worker and what it was doing.
        place: String,
        /// What it says.
        text: String,
    },
    /// Training gave values that are no finite numbers.
    #[error("{place} diverged at step {step}")]
    Diverged {
        /// The worker and what it was doing.
        place: String,
        /// The optimizer step, counted from 1.
        step: u64,
    },
    /// Nobody waits for the result any more.
    #[error("the request was cancelled")]
    Cancelled,
}

impl WorkerError {
    pub(crate) fn reported(place: String, code: ErrorCode, text: String, step: u64) -> Self {
        match code {
            ErrorCode::Cancelled => Self::Cancelled,
            ErrorCode::Diverged => Self::Diverged { place, step },
            ErrorCode::Unsupported => Self::Unable { place, what: text },
            ErrorCode::Failed => Self::Code { place, text },
        }
    }

    pub(crate) fn unexpected(place: String, reply: &Reply) -> Self {
        let found = format!("{reply:?}");
        Self::Unexpected {
            place,
            found: found.chars().take(120).collect(),
        }
    }

    /// Whether the process that caused it cannot be asked anything more.
    pub(crate) fn breaks_the_process(&self) -> bool {
        matches!(
            self,
            Self::Fault { .. }
                | Self::Protocol { .. }
                | Self::Heartbeat { .. }
                | Self::Unexpected { .. }
        )
    }

    /// Whether the worker, and not the client's data, is to blame.
    pub(crate) fn is_the_workers_fault(&self) -> bool {
        !matches!(
            self,
            Self::Cancelled | Self::Diverged { .. } | Self::Unable { .. }
        )
    }
}

impl From<WorkerError> for TrainError {
    /// The failure of one client's task.
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::Cancelled => Self::Cancelled,
            WorkerError::Diverged { step, .. } => Self::Diverged { step },
            WorkerError::Unable { .. } => Self::Unsupported {
                what: error.to_string(),
            },
            error => Self::Worker {
                what: error.to_string(),
            },
        }
    }
}

fn ended(status: Option<ExitStatus>, stderr: &str) -> String {
    let status = status.map_or_else(String::new, |status| format!(" ({status})"));
    match stderr {
        "" => format!("{status}; it printed nothing to standard error"),
        _ => format!("{status}; its last lines:"),
    }
}
