//! What is measured: a closed list of metrics, each computed from integer sums over all clients.

mod spec;
mod sums;
#[cfg(test)]
mod tests;

pub use spec::{MetricKind, MetricSpec};
pub use sums::{MetricSums, Outcome, Prediction};

/// Why something cannot be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// No metric is named.
    #[error("no metric is named: give at least \"loss\"")]
    Nothing,
    /// A metric named twice.
    #[error("the metric {kind} is named twice")]
    Repeated {
        /// The metric.
        kind: MetricKind,
    },
    /// A metric of classes for a target that is a number, or of two classes for more.
    #[error("{kind} needs {expected}, but the target has {found} classes (0: it is a number)")]
    Classes {
        /// The metric.
        kind: MetricKind,
        /// What it needs.
        expected: &'static str,
        /// Classes of the target.
        found: u32,
    },
    /// A loss, score or value that is not finite, or too large for its fixed point.
    #[error("a {what} is not a finite number below 2^43: scale the data or the target")]
    OutOfRange {
        /// What it is.
        what: &'static str,
    },
    /// A class that the target does not have.
    #[error("class {found} where the target has {classes} classes")]
    NoSuchClass {
        /// Classes of the target.
        classes: u32,
        /// The class.
        found: u32,
    },
    /// A prediction of the other kind than the target.
    #[error("the target is {expected}, but the prediction is of the other kind")]
    OtherTarget {
        /// What the target is.
        expected: &'static str,
    },
    /// Sums of another length than the spec's.
    #[error("{expected} metric sums were asked for, {found} came")]
    Length {
        /// Sums of the spec.
        expected: usize,
        /// Sums found.
        found: usize,
    },
    /// Sums that no predictions could have given.
    #[error("the metric sums contradict each other at {at}")]
    Inconsistent {
        /// Index of the first sum that is impossible.
        at: usize,
    },
    /// More examples than one client may count.
    #[error("one client counts at most {most} examples in a cohort of this size: make it smaller")]
    Share {
        /// The most.
        most: u64,
    },
    /// More than 2^31 examples.
    #[error("there are more than 2^31 examples")]
    TooMany,
}
