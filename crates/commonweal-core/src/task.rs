//! What a client is asked to do.

use alloc::sync::Arc;
use core::fmt;

use crate::{Digest, EvaluatePlan, ModelVersion, PrepareSpec, Seed, Time, TrainPlan};

/// One task for one client of one round.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What the task is called; with the client's name, the key under which it is done once.
    pub id: TaskId,
    /// The job, as the digest that the clients' owners accepted.
    pub manifest: Digest,
    /// What `prepare` found, as a digest; `None` if nothing was asked, or is only being asked now.
    pub prepared: Option<Digest>,
    /// The model it starts from.
    pub base: ModelVersion,
    /// The client's own derived seed.
    pub seed: Seed,
    /// When a report no longer counts.
    pub deadline: Option<Time>,
    /// Clients that got this task: what a client's `smallest_cohort` is compared with.
    pub cohort: u32,
    /// What to do.
    pub kind: TaskKind,
}

/// What a task is called: the same whenever the same round of the same run is configured again.
///
/// One id covers the clients of a round; the client's name makes the key. A repeated round of a protocol
/// that must not repeat itself (fresh keys) counts `attempt` up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The round, counted from 1; 0 for what comes before the first.
    pub round: u64,
    /// What is done in it.
    pub stage: Stage,
    /// Attempts of this stage that came before.
    pub attempt: u32,
}

/// What is done at one point of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Stage {
    /// Statistics of the data, before the first round.
    Prepare = 1,
    /// Local training.
    Train = 2,
    /// Evaluation of the model after a round.
    Evaluate = 3,
}

/// The work of a task. Cloning costs a reference count.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskKind {
    /// Sum up the data's columns.
    Prepare(Arc<PrepareSpec>),
    /// Train the model.
    Train(Arc<TrainPlan>),
    /// Measure the model.
    Evaluate(Arc<EvaluatePlan>),
}

impl TaskKind {
    /// The stage at which such work is done.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Prepare(_) => Stage::Prepare,
            Self::Train(_) => Stage::Train,
            Self::Evaluate(_) => Stage::Evaluate,
        }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stage, self.round)?;
        match self.attempt {
            0 => Ok(()),
            attempt => write!(f, "-{attempt}"),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Prepare => "prepare",
            Self::Train => "train",
            Self::Evaluate => "evaluate",
        })
    }
}
