//! What the last values mean: the loss of a batch and its gradient, and the prediction for an example.

use commonweal_core::job::ModelKind;
use commonweal_data::Target;
use commonweal_kernels::{Real, loss};

use crate::error::ModelError;

/// The loss that a model learns by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// Cross-entropy of the softmax over `classes` scores.
    Classes { classes: usize },
    /// Binary cross-entropy of one score, for class 1 of two.
    Binary,
    /// Squared error of one value.
    Value,
}

impl Head {
    pub(crate) fn of(kind: &ModelKind, target: Target) -> Result<Self, ModelError> {
        let refuse = |kind, hint| {
            Err(ModelError::Target {
                kind,
                target: describe(target),
                hint,
            })
        };
        match (kind, target) {
            (ModelKind::External, _) => Err(ModelError::External),
            (ModelKind::Logistic, Target::Classes(2)) => Ok(Self::Binary),
            (ModelKind::Logistic, _) => refuse("logistic", "use \"softmax\" or \"linear\""),
            (ModelKind::Linear, Target::Value) => Ok(Self::Value),
            (ModelKind::Linear, _) => refuse("linear", "use \"softmax\" or \"logistic\""),
            (ModelKind::Softmax, Target::Value) => refuse("softmax", "use \"linear\""),
            (_, Target::Value) => Ok(Self::Value),
            (_, Target::Classes(classes) | Target::NextTokens(classes)) => {
                Ok(Self::Classes { classes })
            }
        }
    }

    /// Numbers that the last layer gives for each label.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Classes { classes } => classes,
            Self::Binary | Self::Value => 1,
        }
    }

    /// `Σ scale · loss`; writes its gradient over `outputs`' into `gradient`.
    pub(crate) fn loss<T: Real>(
        self,
        outputs: &[T],
        goals: Goals<'_, T>,
        gradient: &mut [T],
    ) -> f64 {
        let Goals {
            labels,
            targets,
            scales,
        } = goals;
        match self {
            Self::Classes { .. } => loss::cross_entropy(outputs, labels, scales, gradient),
            Self::Binary => loss::binary_cross_entropy(outputs, targets, scales, gradient),
            Self::Value => loss::squared_error(outputs, targets, scales, gradient),
        }
    }
}

/// What the outputs of a batch should be.
pub(crate) struct Goals<'a, T> {
    /// Classes or next tokens.
    pub(crate) labels: &'a [u32],
    /// The same as numbers for a binary loss; values to predict otherwise.
    pub(crate) targets: &'a [T],
    /// Factor of each row's loss.
    pub(crate) scales: &'a [T],
}

fn describe(target: Target) -> String {
    match target {
        Target::Classes(classes) => format!("one of {classes} classes"),
        Target::Value => "a value".to_owned(),
        Target::NextTokens(tokens) => format!("the next of {tokens} tokens"),
    }
}
