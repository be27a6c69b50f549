//! What a run's task is told and asked.

use commonweal_core::{ClientIndex, ClientName, Payload, Step, TaskId};
use commonweal_wire::control::Explanation;
use commonweal_wire::proto;
use commonweal_wire::{KeyId, RefusalCode};
use tokio::sync::oneshot;

/// Why a node's request does not count: a code for its program, a sentence for its log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// The code.
    pub code: RefusalCode,
    /// The sentence.
    pub message: String,
}

/// A report that would be taken now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The sum that it would be counted in.
    pub accumulator: String,
    /// Most bytes that such a report can have.
    pub longest: u64,
}

/// What has become of a report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reported {
    /// The open sum of its task; empty if the task is not open.
    pub accumulator: String,
    /// Whether it is in that sum, or in the one that was committed.
    pub is_counted: bool,
}

/// A message to a run's task. What cannot be answered is dropped with its sender.
#[derive(Debug)]
pub(super) enum Message {
    Verdict {
        node: ClientName,
        key: KeyId,
        verdict: proto::Verdict,
        answer: oneshot::Sender<Result<(), Refused>>,
    },
    Failure {
        node: ClientName,
        task: TaskId,
        failure: proto::TaskFailure,
        answer: oneshot::Sender<Result<(), Refused>>,
    },
    Expects {
        node: ClientName,
        task: TaskId,
        step: Step,
        answer: oneshot::Sender<Result<Expected, Refused>>,
    },
    Report {
        node: ClientName,
        task: TaskId,
        step: Step,
        payload: Payload,
        answer: oneshot::Sender<Result<String, Refused>>,
    },
    Reported {
        node: ClientName,
        task: TaskId,
        answer: oneshot::Sender<Result<Reported, Refused>>,
    },
    Folded {
        accumulator: String,
        client: ClientIndex,
        folded: Result<Result<(), commonweal_core::Refusal>, super::folding::Lost>,
    },
    Explain {
        answer: oneshot::Sender<Explanation>,
    },
    Cancel {
        by: String,
    },
    /// The server ends; the run goes on when it starts again.
    Stop,
}

impl Refused {
    pub(super) fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// Of a run that is not, or not yet, able to say more.
    pub(super) fn later() -> Self {
        Self::new(
            RefusalCode::Unavailable,
            "the round is not open yet: try again in a moment",
        )
    }

    pub(super) fn late() -> Self {
        Self::new(RefusalCode::Late, "the round is over")
    }
}

impl From<commonweal_core::Refusal> for Refused {
    fn from(refusal: commonweal_core::Refusal) -> Self {
        match refusal {
            // A node that reports before it is given its task holds a report from before a restart.
            commonweal_core::Refusal::OutOfOrder => Self::later(),
            refusal => Self::new(RefusalCode::from(&refusal), refusal.to_string()),
        }
    }
}
