//! `[cohort]`: which clients take part in a round.

use serde::{Deserialize, Serialize};

/// The clients of one round: how many, drawn how, and when a round is given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CohortSpec {
    /// How many clients report in a round.
    #[serde(flatten)]
    pub size: CohortSize,
    /// A round with fewer reports than this is abandoned; at least 1.
    pub minimum: u32,
    /// Clients asked for each one needed, at least 1: the round closes when enough have answered.
    pub over_selection: f64,
    /// How clients are drawn.
    pub sampling: Sampling,
    /// Time a round may take, seconds, above 0; `None` waits for all that were asked.
    pub deadline_seconds: Option<f64>,
}

/// How many clients a round wants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CohortSize {
    /// Of all clients, 0 < f ≤ 1; at least one client.
    Fraction(f64),
    /// This many, at least 1.
    Target(u32),
}

/// How clients are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Without replacement, each set of that size equally likely.
    Uniform,
    /// Each client by itself with probability `fraction`.
    Poisson,
    /// All of them.
    All,
}
