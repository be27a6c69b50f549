//! Metrics: the closed list of numbers that a job may ask its clients for.

use serde::{Deserialize, Serialize};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Mean loss of an example.
    Loss,
    /// Share of examples whose class is predicted.
    Accuracy,
    /// Mean over the classes of F1.
    MacroF1,
    /// Area under the receiver operating characteristic curve.
    RocAuc,
    /// e to the mean loss of a token.
    Perplexity,
    /// Mean squared error.
    MeanSquaredError,
}
