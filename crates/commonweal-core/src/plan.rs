//! How a client trains and evaluates: everything it needs besides the model and its own rows.

use alloc::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{ClientPipeline, MetricSpec, Weighting};

/// One client's local training in one round.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainPlan {
    /// Passes over the client's rows. Ignored if `steps` is given.
    pub epochs: u32,
    /// Optimizer steps instead of epochs; a new pass begins whenever the rows run out.
    pub steps: Option<u32>,
    /// Rows a step; `None` takes all of them (B = ∞ in McMahan et al. 2017). The last batch of an epoch may
    /// be smaller.
    pub batch_size: Option<u32>,
    /// The rule by which a gradient changes the local model. It starts afresh in every round.
    pub optimizer: LocalOptimizer,
    /// The learning rate of this round.
    pub learning_rate: f32,
    /// One factor a class for the loss of its rows; `None` weighs all alike.
    pub class_weights: Option<Arc<[f32]>>,
    /// How clients are weighed against each other.
    pub weighting: Weighting,
    /// What is measured while training.
    pub metrics: Arc<MetricSpec>,
    /// What is done to the update before it leaves the client.
    pub pipeline: ClientPipeline,
}

/// The rule by which a gradient changes the local model. With PyTorch's definitions and signs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LocalOptimizer {
    /// Stochastic gradient descent.
    Sgd {
        /// Share of the last step that is kept; 0 keeps none.
        momentum: f32,
        /// Looks one step ahead (Nesterov).
        nesterov: bool,
        /// Factor of an L2 penalty, added to the gradient.
        weight_decay: f32,
    },
    /// Adam (Kingma and Ba 2015), or AdamW (Loshchilov and Hutter 2019) if `decoupled`.
    Adam {
        /// Decay of the mean of gradients.
        beta1: f32,
        /// Decay of the mean of squared gradients.
        beta2: f32,
        /// Added to the root of the mean square.
        epsilon: f32,
        /// Factor of the weight decay.
        weight_decay: f32,
        /// Decays the weights and not the gradient.
        decoupled: bool,
    },
    /// Adagrad (Duchi et al. 2011).
    Adagrad {
        /// Added to the root of the sum of squares.
        epsilon: f32,
        /// Factor of an L2 penalty, added to the gradient.
        weight_decay: f32,
    },
}

impl LocalOptimizer {
    /// SGD without momentum and decay.
    pub const PLAIN_SGD: Self = Self::Sgd {
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
    };
}

/// One client's evaluation of a model on its test rows.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluatePlan {
    /// What is measured.
    pub metrics: Arc<MetricSpec>,
}
