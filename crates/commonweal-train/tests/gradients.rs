//! Every layer's gradient is the slope of its loss: finite differences in `f64`, through the kernels
//! that training runs on.

#![expect(clippy::unwrap_used, reason = "tests")]

use commonweal_core::job::{self, Activation, Layer, ModelKind};
use commonweal_core::{Seed, unit};
use commonweal_data::{ExampleShape, Input, Target};
use commonweal_kernels::dense::Descent;
use commonweal_train::{Batch, Goal, Inputs, Model, Workspace};

const EXAMPLES: usize = 3;

fn model(kind: ModelKind, input: Input, target: Target) -> Model {
    let example = ExampleShape { input, target };
    Model::build(&job::Model { kind, init: None }, &example).unwrap()
}

fn layers(input: &[usize], layers: Vec<Layer>) -> Model {
    model(
        ModelKind::Layers { layers },
        Input::Values(input.to_vec()),
        Target::Classes(3),
    )
}

fn dense(units: u32) -> Layer {
    Layer::Dense {
        units: Some(units),
        bias: true,
    }
}

fn output() -> Layer {
    Layer::Dense {
        units: None,
        bias: true,
    }
}

fn conv(channels: u32, kernel: u32, stride: u32, padding: u32) -> Layer {
    Layer::Conv2d {
        channels,
        kernel,
        stride,
        padding,
        bias: true,
    }
}

/// Random examples of a model, in memory.
struct Examples {
    values: Vec<f64>,
    tokens: Vec<u32>,
    labels: Vec<u32>,
    targets: Vec<f64>,
    examples: usize,
}

impl Examples {
    fn of(model: &Model, examples: usize) -> Self {
        let mut rng = Seed::from(7).rng();
        let mut draw =
            |count: usize| -> Vec<f64> { (0..count).map(|_| 2.0 * unit(&mut rng) - 1.0).collect() };
        let width = examples * model.example().input.width();
        let (labels, classes) = match model.example().target {
            Target::Classes(classes) => (examples, classes),
            Target::NextTokens(tokens) => (width, tokens),
            Target::Value => (examples, 2),
        };
        let number = |x: &f64, below: usize| ((x + 1.0) / 2.0 * below as f64) as u32;
        let values = draw(width);
        let vocabulary = match model.example().input {
            Input::Tokens { vocabulary, .. } => vocabulary,
            Input::Values(_) => 1,
        };
        Self {
            tokens: values.iter().map(|x| number(x, vocabulary)).collect(),
            labels: draw(labels).iter().map(|x| number(x, classes)).collect(),
            targets: draw(examples),
            values,
            examples,
        }
    }

    fn batch<'a>(&'a self, model: &Model) -> Batch<'a, f64> {
        Batch {
            examples: self.examples,
            inputs: match model.example().input {
                Input::Tokens { .. } => Inputs::Tokens(&self.tokens),
                Input::Values(_) => Inputs::Values(&self.values),
            },
            goal: match model.example().target {
                Target::Value => Goal::Values(&self.targets),
                _ => Goal::Labels(&self.labels),
            },
        }
    }
}

fn initial(model: &Model) -> Vec<f64> {
    model
        .initial(&Seed::from(3))
        .values()
        .iter()
        .map(|&x| f64::from(x))
        .collect()
}

/// Compares the gradient of every parameter with the slope between two losses, 2e-5 apart.
///
/// The slope's own error is about 1e-10 from the third derivative and 1e-11 from rounding.
fn expect_gradient(model: &Model) {
    let examples = Examples::of(model, EXAMPLES);
    let batch = examples.batch(model);
    let mut workspace = Workspace::new(model, EXAMPLES);
    let mut parameters = initial(model);
    model.gradient(&parameters, &batch, &mut workspace);
    let gradient = workspace.gradient().to_vec();
    assert!(
        gradient.iter().any(|slope| slope.abs() > 1e-3),
        "the loss depends on parameters"
    );
    for at in 0..parameters.len() {
        let (step, value) = (1e-5, parameters[at]);
        parameters[at] = value + step;
        let above = model.gradient(&parameters, &batch, &mut workspace);
        parameters[at] = value - step;
        let below = model.gradient(&parameters, &batch, &mut workspace);
        parameters[at] = value;
        let slope = (above - below) / (2.0 * step);
        let error = (slope - gradient[at]).abs();
        assert!(
            error < 1e-8,
            "parameter {at}: slope {slope}, gradient {}",
            gradient[at]
        );
    }
}

/// Descending layer by layer ends where a step along the whole gradient ends.
fn expect_descent(model: &Model) {
    let examples = Examples::of(model, EXAMPLES);
    let batch = examples.batch(model);
    let mut workspace = Workspace::new(model, EXAMPLES);
    let descent = Descent {
        learning_rate: 0.3,
        decay: 0.01,
    };
    let mut descended = initial(model);
    let loss = model.descend(&mut descended, &batch, descent, &mut workspace);
    let mut stepped = initial(model);
    assert_eq!(loss, model.gradient(&stepped, &batch, &mut workspace));
    for (value, slope) in stepped.iter_mut().zip(workspace.gradient()) {
        *value -= 0.3 * (slope + 0.01 * *value);
    }
    for (descended, stepped) in descended.iter().zip(&stepped) {
        assert!(
            (descended - stepped).abs() < 1e-13,
            "{descended} and {stepped}"
        );
    }
}

fn check(model: &Model) {
    expect_gradient(model);
    expect_descent(model);
}

#[test]
fn dense_layers_and_their_activations_have_the_slope_of_their_loss() {
    for activation in [
        Activation::Relu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Gelu,
    ] {
        let kind = ModelKind::Mlp {
            hidden: vec![7, 5],
            activation,
        };
        check(&model(kind, Input::Values(vec![4]), Target::Classes(3)));
    }
}

#[test]
fn layers_without_bias_have_the_slope_of_their_loss() {
    let bare = Layer::Dense {
        units: Some(5),
        bias: false,
    };
    check(&layers(&[4], vec![bare, Layer::Tanh, output()]));
    let bare = Layer::Conv2d {
        channels: 2,
        kernel: 3,
        stride: 1,
        padding: 1,
        bias: false,
    };
    check(&layers(
        &[2, 4, 3],
        vec![bare.clone(), bare, Layer::Flatten, output()],
    ));
}

#[test]
fn the_linear_models_have_the_slope_of_their_losses() {
    check(&model(
        ModelKind::Softmax,
        Input::Values(vec![5]),
        Target::Classes(4),
    ));
    check(&model(
        ModelKind::Logistic,
        Input::Values(vec![5]),
        Target::Classes(2),
    ));
    check(&model(
        ModelKind::Linear,
        Input::Values(vec![5]),
        Target::Value,
    ));
}

#[test]
fn activations_that_stand_alone_have_the_slope_of_their_loss() {
    for activation in [Layer::Relu, Layer::Tanh, Layer::Sigmoid, Layer::Gelu] {
        let list = vec![dense(6), Layer::LayerNorm, activation, output()];
        check(&layers(&[4], list));
    }
}

#[test]
fn convolutions_have_the_slope_of_their_loss() {
    for (kernel, stride, padding) in [(3, 1, 1), (5, 1, 2), (2, 2, 0), (3, 2, 1), (1, 1, 0)] {
        let list = vec![
            conv(3, kernel, stride, padding),
            Layer::Tanh,
            conv(2, 2, 1, 1),
            Layer::Flatten,
            output(),
        ];
        check(&layers(&[2, 6, 5], list));
    }
}

#[test]
fn pools_have_the_slope_of_their_loss() {
    let pools = [
        Layer::MaxPool2d {
            size: 2,
            stride: None,
        },
        Layer::MaxPool2d {
            size: 3,
            stride: Some(2),
        },
        Layer::AvgPool2d {
            size: 2,
            stride: None,
        },
        Layer::AvgPool2d {
            size: 3,
            stride: Some(1),
        },
    ];
    for pool in pools {
        let list = vec![
            conv(3, 3, 1, 1),
            Layer::Relu,
            pool,
            Layer::Flatten,
            output(),
        ];
        check(&layers(&[2, 7, 6], list));
    }
}

#[test]
fn group_norm_has_the_slope_of_its_loss() {
    for groups in [1, 2, 4] {
        let norm = Layer::GroupNorm { groups };
        let list = vec![
            conv(4, 3, 1, 1),
            norm,
            Layer::Relu,
            Layer::Flatten,
            output(),
        ];
        check(&layers(&[2, 4, 3], list));
    }
}

#[test]
fn embeddings_and_stacked_lstms_have_the_slope_of_their_loss() {
    let kind = ModelKind::Lstm {
        embedding: 3,
        hidden: 4,
        layers: 2,
    };
    let input = Input::Tokens {
        length: 5,
        vocabulary: 6,
    };
    check(&model(kind, input, Target::NextTokens(6)));
}

#[test]
fn the_last_state_of_a_series_has_the_slope_of_its_loss() {
    let list = vec![
        dense(4),
        Layer::LayerNorm,
        Layer::Lstm {
            hidden: 3,
            sequences: true,
        },
        Layer::Lstm {
            hidden: 4,
            sequences: false,
        },
        output(),
    ];
    check(&layers(&[6, 2], list));
}

#[test]
fn a_flattened_sequence_has_the_slope_of_its_loss() {
    let list = vec![
        Layer::Lstm {
            hidden: 3,
            sequences: true,
        },
        Layer::Flatten,
        output(),
    ];
    check(&layers(&[4, 2], list));
}

#[test]
fn residual_sums_have_the_slope_of_their_loss() {
    let inner = Layer::Residual {
        layers: vec![dense(5), Layer::Tanh, dense(5)],
    };
    let outer = Layer::Residual {
        layers: vec![inner, Layer::Gelu],
    };
    check(&layers(
        &[4],
        vec![dense(5), outer.clone(), Layer::Relu, outer, output()],
    ));
    let first = Layer::Residual {
        layers: vec![Layer::Tanh, conv(2, 3, 1, 1)],
    };
    check(&layers(&[2, 3, 3], vec![first, Layer::Flatten, output()]));
}
