//! The state machine of one round: events and the time go in, actions come out.
//!
//! Phases after Bonawitz et al. 2019, "Towards Federated Learning at Scale: System Design" (arXiv:1902.01046),
//! section 2: in *selection* invited clients check in; in *configuration* the cohort is fixed and gets its
//! task, which takes no time here; in *reporting* clients report until enough have, all have, or the time is
//! over. Then the round commits, or is abandoned and changes nothing.
//!
//! The machine folds nothing: it hands a report to the driver, whose workers verify and fold it and say so.

mod machine;
mod members;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use alloc::vec::Vec;

pub use machine::Round;

use crate::{
    ClientIndex, Cohort, Digest, Fold, ModelVersion, Payload, Population, Refusal, Seed, Step,
    Task, TaskId, TaskKind, Time,
};

/// What a round is about.
#[derive(Debug)]
pub struct RoundSpec {
    /// What its task is called.
    pub task: TaskId,
    /// The job, as a digest.
    pub manifest: Digest,
    /// What `prepare` found, as a digest; `None` if nothing was asked before this round.
    pub prepared: Option<Digest>,
    /// What its clients do.
    pub kind: TaskKind,
    /// How their reports are verified and folded.
    pub fold: Arc<Fold>,
    /// The model that they start from.
    pub base: ModelVersion,
    /// From which each client's own seed is derived.
    pub seed: Seed,
    /// All clients.
    pub population: Population,
    /// Those of this round.
    pub cohort: Cohort,
    /// The fewest reports that make a sum; at least 1.
    pub minimum: u32,
    /// When selection ends at the latest; `None` waits for every invited client.
    pub selection_until: Option<Time>,
    /// When reporting ends at the latest; `None` waits for every client.
    pub reporting_until: Option<Time>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client is there and ready to work.
    CheckIn {
        /// Which.
        client: ClientIndex,
    },
    /// A client sent a message.
    Report {
        /// Which.
        client: ClientIndex,
        /// The task that it worked on.
        task: TaskId,
        /// The session's step.
        step: Step,
        /// The message.
        message: Payload,
    },
    /// A worker has folded a client's report.
    Folded {
        /// Whose.
        client: ClientIndex,
    },
    /// A worker has refused a client's report; nothing of it was folded.
    FoldRefused {
        /// Whose.
        client: ClientIndex,
    },
    /// A client vanished, declined or could not do its work. Before configuration it is replaced.
    Failed {
        /// Which.
        client: ClientIndex,
    },
    /// Nothing but that time has passed.
    Tick,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Tell a client that it may check in.
    Invite {
        /// Which.
        client: ClientIndex,
    },
    /// Give a client its task.
    Configure {
        /// Which.
        client: ClientIndex,
        /// The task.
        task: Task,
    },
    /// Give a client a message of the session.
    Send {
        /// Which.
        client: ClientIndex,
        /// The session's step.
        step: Step,
        /// The message.
        message: Payload,
    },
    /// Let a worker verify and fold a report, then answer with [`Event::Folded`] or [`Event::FoldRefused`].
    Fold {
        /// Whose.
        client: ClientIndex,
        /// The report.
        message: Payload,
    },
    /// A client may stop: nothing that it sends counts any more.
    Dismiss {
        /// Which.
        client: ClientIndex,
        /// Why.
        refusal: Refusal,
    },
    /// The round is over; all its reports are folded.
    Commit(Committed),
    /// The round is over and changes nothing.
    Abandon(Abandoned),
}

/// A round that has its reports: made by [`Round`] alone, and what a [`Run`](crate::Run) commits.
///
/// What a session of several steps recovers for the pipeline's unmask slot belongs here, beside those counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    task: TaskId,
    cohort: u32,
    counted: Vec<ClientIndex>,
}

impl Committed {
    /// The task of the round.
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// Clients that were configured.
    pub fn cohort(&self) -> u32 {
        self.cohort
    }

    /// The clients in the sum, in order. Only their client states advance.
    pub fn counted(&self) -> &[ClientIndex] {
        &self.counted
    }

    /// The same round where its sums turn out not to go together.
    pub fn into_abandoned(self) -> Abandoned {
        Abandoned {
            task: self.task,
            reason: AbandonReason::TooLarge,
        }
    }
}

/// A round that changes nothing, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandoned {
    task: TaskId,
    reason: AbandonReason,
}

impl Abandoned {
    /// The task of the round.
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// Why.
    pub fn reason(&self) -> &AbandonReason {
        &self.reason
    }
}

/// Why a round was abandoned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AbandonReason {
    /// Selection ended with too few clients.
    #[error("{found} clients were ready, the minimum is {minimum}")]
    TooFewReady {
        /// The fewest.
        minimum: u32,
        /// Clients that had checked in.
        found: u32,
    },
    /// Reporting ended with too few reports.
    #[error("{found} clients reported, the minimum is {minimum}")]
    TooFewReports {
        /// The fewest.
        minimum: u32,
        /// Reports folded.
        found: u32,
    },
    /// The reports were folded, but into sums that are too large together.
    #[error("the reports count more than a sum can hold")]
    TooLarge,
    /// The session could not keep its promise.
    #[error("the protocol of the round broke off")]
    Session,
}
