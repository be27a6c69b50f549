//! `[strategy]`: what the server makes of the clients' updates.

use serde::{Deserialize, Serialize};

use crate::Weighting;

/// Aggregation and the server's step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrategySpec {
    /// The algorithm.
    pub kind: StrategyKind,
    /// How much a client's update counts.
    pub weighting: Weighting,
    /// Times the mean update, above 0.
    pub server_learning_rate: f64,
    /// 0 ≤ m < 1; above 0 with `fed_avgm` only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub server_momentum: f64,
    /// How updates become one.
    pub aggregator: AggregatorSpec,
}

/// The algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyKind {
    /// FederatedAveraging (McMahan et al. 2017, algorithm 1).
    FedAvg,
    /// One step on all rows of each client (the same, E = 1 and B = ∞).
    FedSgd,
    /// FedAvg with momentum on the server (Hsu et al. 2019, arXiv:1909.06335).
    #[serde(rename = "fed_avgm")]
    FedAvgM,
}

/// How updates become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregatorSpec {
    /// Their weighted mean.
    Mean,
    /// The median of each coordinate, unweighted; needs the whole cohort in memory.
    Median,
}

/// Kinds without momentum have no such key.
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}
