//! `[training]`: what a client does with its rows in one round.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Schedule;
use crate::LocalOptimizer;

/// Local training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Name of the trainer; `built-in` is Commonweal's own. The simulation section, or a node's own
    /// file, says how to start another.
    pub trainer: String,
    /// How long a client trains in a round.
    #[serde(flatten)]
    pub length: LocalLength,
    /// Rows in a step.
    pub batch_size: BatchSize,
    /// The rule of a local step.
    pub optimizer: LocalOptimizerSpec,
    /// How the learning rate changes by round.
    pub schedule: Schedule,
    /// How much each class counts in the loss.
    pub class_weights: Option<ClassWeights>,
    /// Largest absolute value that one coordinate of a client's update may have, above 0: it fixes
    /// the grid that updates are rounded to. A client whose update exceeds it is refused.
    pub max_abs_update: f64,
}

/// Name of Commonweal's own trainer.
pub const BUILT_IN_TRAINER: &str = "built-in";

/// How long a client trains in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalLength {
    /// Passes over the client's rows, at least 1.
    Epochs(u32),
    /// Steps, at least 1, over the rows as often as needed.
    Steps(u32),
}

/// Rows in a local step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BatchSizeKey", into = "BatchSizeKey")]
pub enum BatchSize {
    /// This many, at least 1; the last step of an epoch has the rest.
    Rows(u32),
    /// All of the client's rows (B = ∞ in McMahan et al. 2017).
    All,
}

/// The rule of a local step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LocalOptimizerSpec {
    /// Stochastic gradient descent, as PyTorch defines it.
    Sgd {
        /// Above 0.
        learning_rate: f64,
        /// 0 ≤ m < 1.
        momentum: f64,
        /// Whether the momentum is Nesterov's; needs momentum above 0.
        nesterov: bool,
        /// Times the weight, added to its gradient; at least 0.
        weight_decay: f64,
    },
    /// Kingma & Ba 2015 (arXiv:1412.6980); the decay is added to the gradient.
    Adam {
        /// Above 0.
        learning_rate: f64,
        /// 0 ≤ β₁ < 1.
        beta1: f64,
        /// 0 ≤ β₂ < 1.
        beta2: f64,
        /// Above 0.
        epsilon: f64,
        /// At least 0.
        weight_decay: f64,
    },
    /// Loshchilov & Hutter 2019 (arXiv:1711.05101); the decay is taken from the weight.
    #[serde(rename = "adamw")]
    AdamW {
        /// Above 0.
        learning_rate: f64,
        /// 0 ≤ β₁ < 1.
        beta1: f64,
        /// 0 ≤ β₂ < 1.
        beta2: f64,
        /// Above 0.
        epsilon: f64,
        /// At least 0.
        weight_decay: f64,
    },
    /// Duchi et al. 2011.
    Adagrad {
        /// Above 0.
        learning_rate: f64,
        /// Above 0.
        epsilon: f64,
        /// At least 0.
        weight_decay: f64,
    },
}

impl LocalOptimizerSpec {
    /// Learning rate before any schedule.
    pub fn learning_rate(&self) -> f64 {
        match *self {
            Self::Sgd { learning_rate, .. }
            | Self::Adam { learning_rate, .. }
            | Self::AdamW { learning_rate, .. }
            | Self::Adagrad { learning_rate, .. } => learning_rate,
        }
    }

    /// The rule without its learning rate, as a plan carries it.
    pub fn rule(&self) -> LocalOptimizer {
        match *self {
            Self::Sgd {
                momentum,
                nesterov,
                weight_decay,
                ..
            } => LocalOptimizer::Sgd {
                momentum: momentum as f32,
                nesterov,
                weight_decay: weight_decay as f32,
            },
            Self::Adam {
                beta1,
                beta2,
                epsilon,
                weight_decay,
                ..
            } => adam([beta1, beta2, epsilon, weight_decay], false),
            Self::AdamW {
                beta1,
                beta2,
                epsilon,
                weight_decay,
                ..
            } => adam([beta1, beta2, epsilon, weight_decay], true),
            Self::Adagrad {
                epsilon,
                weight_decay,
                ..
            } => LocalOptimizer::Adagrad {
                epsilon: epsilon as f32,
                weight_decay: weight_decay as f32,
            },
        }
    }
}

fn adam(numbers: [f64; 4], decoupled: bool) -> LocalOptimizer {
    let [beta1, beta2, epsilon, weight_decay] = numbers.map(|number| number as f32);
    LocalOptimizer::Adam {
        beta1,
        beta2,
        epsilon,
        weight_decay,
        decoupled,
    }
}

/// How much each class counts in the loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "ClassWeightsKey", into = "ClassWeightsKey")]
pub enum ClassWeights {
    /// Rows / (classes × rows of the class), from `prepare`.
    Balanced,
    /// One factor a class, in the order of the classes; above 0 each.
    Each(Vec<f64>),
}

/// A batch size as the job file has it: a number, or the word `all`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum BatchSizeKey {
    Rows(u32),
    Word(AllWord),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AllWord {
    All,
}

impl From<BatchSizeKey> for BatchSize {
    fn from(key: BatchSizeKey) -> Self {
        match key {
            BatchSizeKey::Rows(rows) => Self::Rows(rows),
            BatchSizeKey::Word(AllWord::All) => Self::All,
        }
    }
}

impl From<BatchSize> for BatchSizeKey {
    fn from(size: BatchSize) -> Self {
        match size {
            BatchSize::Rows(rows) => Self::Rows(rows),
            BatchSize::All => Self::Word(AllWord::All),
        }
    }
}

/// Class weights as the job file has them: a list, or the word `balanced`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum ClassWeightsKey {
    Each(Vec<f64>),
    Word(BalancedWord),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BalancedWord {
    Balanced,
}

impl From<ClassWeightsKey> for ClassWeights {
    fn from(key: ClassWeightsKey) -> Self {
        match key {
            ClassWeightsKey::Each(weights) => Self::Each(weights),
            ClassWeightsKey::Word(BalancedWord::Balanced) => Self::Balanced,
        }
    }
}

impl From<ClassWeights> for ClassWeightsKey {
    fn from(weights: ClassWeights) -> Self {
        match weights {
            ClassWeights::Each(weights) => Self::Each(weights),
            ClassWeights::Balanced => Self::Word(BalancedWord::Balanced),
        }
    }
}
