//! `[evaluation]`, `[stop]`, `[expect]` and `[checkpoints]`: what is measured, and what follows from it.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::metric::MetricKind;

/// What is measured on the clients' test rows, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Rounds from one evaluation to the next, at least 1; the last round is always evaluated.
    pub every: u32,
    /// The closed list of numbers that leave a client, as sums.
    pub metrics: Vec<MetricKind>,
    /// The metric by which a run is judged; one of `metrics`.
    pub metric: MetricKind,
}

/// When a run ends before its last round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// The metric looked at; one of `evaluation.metrics`.
    pub metric: MetricKind,
    /// The value that is good enough; `None` with `patience` alone.
    #[serde(flatten)]
    pub threshold: Option<Threshold>,
    /// Evaluations without a new best value after which the run ends; at least 1.
    pub patience: Option<u32>,
}

/// What the final model should reach. A run that does not is reported, not failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expect {
    /// The metric looked at; one of `evaluation.metrics`.
    pub metric: MetricKind,
    /// The value to reach.
    #[serde(flatten)]
    pub threshold: Threshold,
}

/// A value to reach, from below or from above.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Threshold {
    /// Whether `value` reaches it; NaN never does.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// Which checkpoints stay besides the last two and the best.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoints {
    /// Every round whose number is a multiple of this, at least 1; `None` for no others.
    pub every: Option<u32>,
}
