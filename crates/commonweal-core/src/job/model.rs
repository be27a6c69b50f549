//! `[model]`: the shape of what is learned.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// The model of a job. Input shape and number of outputs come from the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Which model, and its sizes.
    #[serde(flatten)]
    pub kind: ModelKind,
    /// A safetensors file to start from, relative to the job file; `None` draws initial values from
    /// the seed.
    pub init: Option<String>,
}

/// Models that Commonweal builds, and the one that a worker builds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ModelKind {
    /// One dense layer to the classes, cross-entropy.
    Softmax,
    /// One dense layer to one output, binary cross-entropy: two classes.
    Logistic,
    /// One dense layer to one output, squared error.
    Linear,
    /// Dense layers with an activation between them.
    Mlp {
        /// Units of each hidden layer, at least 1 each.
        hidden: Vec<u32>,
        /// What follows each hidden layer.
        activation: Activation,
    },
    /// The convolutional model of McMahan et al. 2017: 5×5×32, pool 2, 5×5×64, pool 2, dense 512.
    Cnn,
    /// Embedding, stacked LSTM layers and a dense layer to the vocabulary: the character model of
    /// McMahan et al. 2017.
    Lstm {
        /// Dimension of a character's embedding, at least 1.
        embedding: u32,
        /// Units of each LSTM layer, at least 1.
        hidden: u32,
        /// LSTM layers, at least 1.
        layers: u32,
    },
    /// A list of layers, first to last.
    Layers {
        /// The layers, at least one.
        layers: Vec<Layer>,
    },
    /// The trainer's worker process tells layout and initial values.
    External,
}

/// Element-wise non-linearities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, x)
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e^−x)
    Sigmoid,
    /// x Φ(x), exact (not the tanh approximation).
    Gelu,
}

/// One layer of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Layer {
    /// y = W x + b, over the last axis.
    Dense {
        /// Outputs, at least 1; `None` for as many as the data ask for (classes, vocabulary or 1).
        units: Option<u32>,
        /// Whether b is there.
        bias: bool,
    },
    /// Cross-correlation over height and width, square kernel.
    Conv2d {
        /// Channels of the output, at least 1.
        channels: u32,
        /// Height and width of the kernel, at least 1.
        kernel: u32,
        /// Step, at least 1.
        stride: u32,
        /// Zeros added on each side.
        padding: u32,
        /// Whether a bias a channel is there.
        bias: bool,
    },
    /// Largest value of each square.
    MaxPool2d {
        /// Height and width of the square, at least 1.
        size: u32,
        /// Step; `None` for `size`.
        stride: Option<u32>,
    },
    /// Mean of each square.
    AvgPool2d {
        /// Height and width of the square, at least 1.
        size: u32,
        /// Step; `None` for `size`.
        stride: Option<u32>,
    },
    /// A vector for each token of the vocabulary.
    Embedding {
        /// Length of the vector, at least 1.
        dimension: u32,
    },
    /// One LSTM layer over a sequence.
    Lstm {
        /// Units, at least 1.
        hidden: u32,
        /// Whether the outputs of all steps go on, or the last one only.
        sequences: bool,
    },
    /// Wu & He 2018 (arXiv:1803.08494).
    GroupNorm {
        /// Groups the channels are divided into, at least 1; must divide them.
        groups: u32,
    },
    /// Ba et al. 2016 (arXiv:1607.06450), over the last axis.
    LayerNorm,
    /// Zeroes values while training and scales the others up.
    Dropout {
        /// Probability to zero a value, 0 ≤ p < 1.
        rate: f64,
    },
    /// See [`Activation::Relu`].
    Relu,
    /// See [`Activation::Tanh`].
    Tanh,
    /// See [`Activation::Sigmoid`].
    Sigmoid,
    /// See [`Activation::Gelu`].
    Gelu,
    /// All axes of an example become one.
    Flatten,
    /// x + f(x), where f is a list of layers that keeps the shape.
    Residual {
        /// The layers of f, at least one.
        layers: Vec<Layer>,
    },
}
