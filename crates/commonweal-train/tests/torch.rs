//! The built-in trainer learns as PyTorch does: losses of 20 steps from the same values and batch.
//!
//! The golden is written by `goldens/losses.py`, whose cases these are.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use commonweal_core::job::{self, Activation, Layer, ModelKind};
use commonweal_core::{
    ClientName, ClientPipeline, ClientRows, ClientState, Digest, Entropy, LocalOptimizer,
    MetricKind, MetricSpec, ModelVersion, Parameters, Quantizer, Seed, Stage, Task, TaskId,
    TaskKind, TrainPlan, Trainer, Weighting,
};
use commonweal_data::{Dataset, Features, Floats, Roster, Targets, Tokens, Vocabulary};
use commonweal_train::{BuiltInTrainer, Model};

const GOLDEN: &str = include_str!("../goldens/losses-torch-2.15.0.csv");

/// Steps after which the mean loss so far is compared.
const CHECKED: [u32; 5] = [1, 2, 5, 10, 20];

/// `f32` sums in another order: at most 3e-7 of the loss measured, with room for wider vectors.
const TOLERANCE: f64 = 2e-6;

/// SplitMix64, as numbers in [-1, 1): `stream` of the script.
fn stream(key: u64, count: usize) -> impl Iterator<Item = f64> {
    (1..=count as u64).map(move |i| {
        let mut z = (key << 32).wrapping_add(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(i));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / 8_388_608.0 - 1.0
    })
}

fn initial(model: &Model) -> Parameters {
    let mut parameters = Parameters::zeros(Arc::clone(model.layout()));
    let mut values = stream(1, model.layout().len());
    for tensor in model.layout().tensors() {
        let inputs: usize = tensor.shape[1..].iter().product();
        let scale = if tensor.shape.len() > 1 {
            1.0 / (inputs as f64).sqrt()
        } else {
            0.1
        };
        for value in &mut parameters.values_mut()[tensor.range()] {
            *value = (values.next().unwrap() * scale) as f32;
        }
    }
    parameters
}

/// Examples of `shape` with a class each, or a value for no classes.
fn examples(shape: &[usize], examples: usize, classes: usize) -> Dataset {
    let width: usize = shape.iter().product();
    let values: Vec<f32> = stream(2, examples * width).map(|x| x as f32).collect();
    let label = |row: &[f32]| {
        (0..classes)
            .max_by(|&a, &b| row[a].total_cmp(&row[b]))
            .unwrap() as u32
    };
    let targets = match classes {
        0 => Targets::Values(values.chunks(width).map(|row| row[0]).collect()),
        _ => Targets::Classes {
            labels: values.chunks(width).map(label).collect(),
            classes: classes as u32,
        },
    };
    let floats = Floats::new(values, shape.to_vec()).unwrap();
    Dataset::new(
        Features::Floats(floats),
        targets,
        Roster::new(examples as u32),
    )
    .unwrap()
}

fn text(examples: u32, length: u32, vocabulary: u16) -> Dataset {
    let drawn = stream(2, (examples * (length + 1)) as usize);
    let mut text: Vec<u16> = drawn
        .map(|x| ((x + 1.0) / 2.0 * f64::from(vocabulary)) as u16)
        .collect();
    for at in (0..text.len()).filter(|at| at % 5 != 0) {
        text[at] = (7 * text[at - 1] + 3) % vocabulary;
    }
    let starts = (0..examples).map(|row| row * (length + 1)).collect();
    let characters = (1..vocabulary).map(|at| char::from_u32(u32::from(at)).unwrap());
    let characters = Vocabulary::new(characters).unwrap();
    let tokens = Tokens::new(text, starts, length as usize, characters).unwrap();
    Dataset::new(
        Features::Tokens(tokens),
        Targets::NextTokens,
        Roster::new(examples),
    )
    .unwrap()
}

struct Case {
    name: &'static str,
    kind: ModelKind,
    data: Dataset,
    learning_rate: f32,
    optimizer: LocalOptimizer,
    class_weights: Option<Vec<f32>>,
}

impl Case {
    fn new(name: &'static str, kind: ModelKind, data: Dataset, learning_rate: f32) -> Self {
        let optimizer = LocalOptimizer::PLAIN_SGD;
        Self {
            name,
            kind,
            data,
            learning_rate,
            optimizer,
            class_weights: None,
        }
    }

    fn mlp(name: &'static str, learning_rate: f32, optimizer: LocalOptimizer) -> Self {
        let kind = ModelKind::Mlp {
            hidden: vec![200, 200],
            activation: Activation::Relu,
        };
        Self {
            optimizer,
            ..Self::new(name, kind, examples(&[784], 10, 10), learning_rate)
        }
    }

    /// Trains on all rows at once and compares the mean loss of the first steps.
    fn check(self) {
        let golden: Vec<f64> = GOLDEN
            .lines()
            .filter_map(|line| {
                line.strip_prefix(self.name)?
                    .strip_prefix(',')?
                    .split(',')
                    .nth(1)
            })
            .map(|loss| loss.parse().unwrap())
            .collect();
        assert_eq!(golden.len(), 20, "{} is in the golden", self.name);
        let model = job::Model {
            kind: self.kind,
            init: None,
        };
        let model = Arc::new(Model::build(&model, &self.data.shape()).unwrap());
        let data = Arc::new(self.data);
        let rows: Vec<u32> = (0..data.rows()).collect();
        let mut trainer = BuiltInTrainer::new(Arc::clone(&model), data);
        for steps in CHECKED {
            let plan = TrainPlan {
                epochs: 1,
                steps: Some(steps),
                batch_size: None,
                optimizer: self.optimizer,
                learning_rate: self.learning_rate,
                class_weights: self.class_weights.clone().map(Arc::from),
                weighting: Weighting::Examples,
                metrics: Arc::new(MetricSpec::loss()),
                pipeline: ClientPipeline::plain(Quantizer::new(16.0).unwrap()),
            };
            let found = mean_loss(&mut trainer, plan, &rows, &initial(&model));
            let expected = golden[..steps as usize].iter().sum::<f64>() / f64::from(steps);
            let error = (found / expected - 1.0).abs();
            let name = self.name;
            assert!(
                error < TOLERANCE,
                "{name}, {steps} steps: {found}, PyTorch {expected}, {error:e}"
            );
        }
    }
}

fn mean_loss(
    trainer: &mut BuiltInTrainer,
    plan: TrainPlan,
    rows: &[u32],
    model: &Parameters,
) -> f64 {
    let client = ClientName::try_from("client").unwrap();
    let plan = Arc::new(plan);
    let task = Task {
        id: TaskId {
            round: 1,
            stage: Stage::Train,
            attempt: 0,
        },
        manifest: Digest::of(b"job"),
        prepared: None,
        base: ModelVersion(0),
        seed: Seed::from(1),
        deadline: None,
        cohort: 1,
        kind: TaskKind::Train(Arc::clone(&plan)),
    };
    let data = ClientRows {
        client: &client,
        train: rows,
        test: &[],
    };
    let (state, entropy) = (ClientState::default(), Entropy::new([0; 32]));
    let (update, _) = trainer
        .train(&task, &plan, data, model, state, entropy, &mut ())
        .unwrap();
    plan.metrics
        .value(MetricKind::Loss, &update.metrics)
        .unwrap()
}

fn adam(weight_decay: f32, decoupled: bool) -> LocalOptimizer {
    LocalOptimizer::Adam {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay,
        decoupled,
    }
}

#[test]
fn linear_models_learn_as_in_pytorch() {
    Case::new("softmax", ModelKind::Softmax, examples(&[784], 6, 10), 0.1).check();
    Case::new("logistic", ModelKind::Logistic, examples(&[13], 8, 2), 0.1).check();
    Case::new("linear", ModelKind::Linear, examples(&[13], 8, 0), 0.05).check();
}

#[test]
fn the_mlp_learns_with_every_optimizer_as_in_pytorch() {
    let sgd = |momentum, nesterov, weight_decay| LocalOptimizer::Sgd {
        momentum,
        nesterov,
        weight_decay,
    };
    Case::mlp("mlp", 0.1, LocalOptimizer::PLAIN_SGD).check();
    Case::mlp("mlp-decay", 0.1, sgd(0.0, false, 0.01)).check();
    Case::mlp("mlp-momentum", 0.02, sgd(0.9, false, 0.0)).check();
    Case::mlp("mlp-nesterov", 0.02, sgd(0.9, true, 0.01)).check();
    Case::mlp("mlp-adam", 0.001, adam(0.01, false)).check();
    Case::mlp("mlp-adamw", 0.001, adam(0.1, true)).check();
    Case::mlp(
        "mlp-adagrad",
        0.01,
        LocalOptimizer::Adagrad {
            epsilon: 1e-10,
            weight_decay: 0.01,
        },
    )
    .check();
}

#[test]
fn class_weights_count_as_in_pytorch() {
    let weights = vec![0.5, 2.0, 1.0, 1.5, 0.25, 1.0, 3.0, 1.0, 0.75, 1.0];
    let mlp = Case::mlp("mlp-weights", 0.1, LocalOptimizer::PLAIN_SGD);
    Case {
        class_weights: Some(weights),
        ..mlp
    }
    .check();
}

#[test]
fn the_cnn_learns_as_in_pytorch() {
    Case::new("cnn", ModelKind::Cnn, examples(&[1, 28, 28], 10, 10), 0.1).check();
}

#[test]
fn the_lstm_learns_as_in_pytorch() {
    let kind = ModelKind::Lstm {
        embedding: 8,
        hidden: 64,
        layers: 2,
    };
    Case::new("lstm", kind, text(4, 20, 50), 1.0).check();
}

#[test]
fn a_list_of_layers_learns_as_in_pytorch() {
    let dense = |units| Layer::Dense { units, bias: true };
    let conv = Layer::Conv2d {
        channels: 8,
        kernel: 3,
        stride: 2,
        padding: 1,
        bias: false,
    };
    let inner = vec![dense(Some(24)), Layer::Tanh, dense(Some(24))];
    let layers = vec![
        conv,
        Layer::GroupNorm { groups: 4 },
        Layer::Relu,
        Layer::AvgPool2d {
            size: 2,
            stride: None,
        },
        Layer::Flatten,
        dense(Some(24)),
        Layer::LayerNorm,
        Layer::Gelu,
        Layer::Residual { layers: inner },
        Layer::Sigmoid,
        dense(None),
    ];
    let kind = ModelKind::Layers { layers };
    Case::new("layers", kind, examples(&[3, 8, 8], 10, 5), 0.1).check();
}

#[test]
fn the_last_state_of_a_series_learns_as_in_pytorch() {
    let layers = vec![
        Layer::Lstm {
            hidden: 16,
            sequences: false,
        },
        Layer::Dense {
            units: None,
            bias: true,
        },
    ];
    let kind = ModelKind::Layers { layers };
    Case::new("series", kind, examples(&[12, 6], 10, 4), 0.5).check();
}
