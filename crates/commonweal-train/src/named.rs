//! The named models as lists of layers.

use commonweal_core::job::{Activation, Layer, ModelKind};

/// The layers that `kind` stands for; `flatten` if an example has more than one axis.
pub(crate) fn layers(kind: &ModelKind, flatten: bool) -> Vec<Layer> {
    let mut layers = Vec::new();
    match kind {
        ModelKind::Softmax | ModelKind::Logistic | ModelKind::Linear => {
            layers.extend(flatten.then_some(Layer::Flatten));
            layers.push(OUTPUT);
        }
        ModelKind::Mlp { hidden, activation } => {
            layers.extend(flatten.then_some(Layer::Flatten));
            for &units in hidden {
                layers.push(Layer::Dense {
                    units: Some(units),
                    bias: true,
                });
                layers.push(layer_of(*activation));
            }
            layers.push(OUTPUT);
        }
        ModelKind::Cnn => layers.extend(cnn()),
        ModelKind::Lstm {
            embedding,
            hidden,
            layers: stacked,
        } => {
            layers.push(Layer::Embedding {
                dimension: *embedding,
            });
            for _ in 0..*stacked {
                layers.push(Layer::Lstm {
                    hidden: *hidden,
                    sequences: true,
                });
            }
            layers.push(OUTPUT);
        }
        ModelKind::Layers { layers: list } => layers.extend(list.iter().cloned()),
        ModelKind::External => {}
    }
    layers
}

/// As many outputs as the data ask for.
const OUTPUT: Layer = Layer::Dense {
    units: None,
    bias: true,
};

/// The convolutional model of McMahan et al. 2017 (arXiv:1602.05629), section 3: 1,663,370
/// parameters for 28 × 28 pixels and 10 classes.
fn cnn() -> [Layer; 10] {
    let conv = |channels| Layer::Conv2d {
        channels,
        kernel: 5,
        stride: 1,
        padding: 2,
        bias: true,
    };
    let pool = Layer::MaxPool2d {
        size: 2,
        stride: None,
    };
    [
        conv(32),
        Layer::Relu,
        pool.clone(),
        conv(64),
        Layer::Relu,
        pool,
        Layer::Flatten,
        Layer::Dense {
            units: Some(512),
            bias: true,
        },
        Layer::Relu,
        OUTPUT,
    ]
}

fn layer_of(activation: Activation) -> Layer {
    match activation {
        Activation::Relu => Layer::Relu,
        Activation::Tanh => Layer::Tanh,
        Activation::Sigmoid => Layer::Sigmoid,
        Activation::Gelu => Layer::Gelu,
    }
}
