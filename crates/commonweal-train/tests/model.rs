//! What a model is made of: names, shapes and counts as in PyTorch, and errors that name the layer.

#![expect(clippy::unwrap_used, reason = "tests")]

use commonweal_core::job::{self, Activation, Layer, ModelKind};
use commonweal_core::{Scope, Seed};
use commonweal_data::{ExampleShape, Input, Target};
use commonweal_train::{Model, ModelError, torch_source};

fn build(kind: ModelKind, input: Input, target: Target) -> Result<Model, ModelError> {
    Model::build(
        &job::Model { kind, init: None },
        &ExampleShape { input, target },
    )
}

fn image() -> Input {
    Input::Values(vec![1, 28, 28])
}

fn dense(units: Option<u32>) -> Layer {
    Layer::Dense { units, bias: true }
}

fn tensors(model: &Model) -> Vec<(&str, &[usize])> {
    let tensors = model.layout().tensors().iter();
    tensors
        .map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()))
        .collect()
}

fn refusal(layers: Vec<Layer>, input: &[usize]) -> String {
    let kind = ModelKind::Layers { layers };
    build(kind, Input::Values(input.to_vec()), Target::Classes(3))
        .unwrap_err()
        .to_string()
}

#[test]
fn the_cnn_has_the_papers_number_of_parameters() {
    let cnn = build(ModelKind::Cnn, image(), Target::Classes(10)).unwrap();
    assert_eq!(cnn.layout().len(), 1_663_370);
    let expected: [(&str, &[usize]); 8] = [
        ("0.weight", &[32, 1, 5, 5]),
        ("0.bias", &[32]),
        ("3.weight", &[64, 32, 5, 5]),
        ("3.bias", &[64]),
        ("7.weight", &[512, 3136]),
        ("7.bias", &[512]),
        ("9.weight", &[10, 512]),
        ("9.bias", &[10]),
    ];
    assert_eq!(tensors(&cnn), expected);
}

#[test]
fn the_2nn_has_the_papers_number_of_parameters() {
    let kind = ModelKind::Mlp {
        hidden: vec![200, 200],
        activation: Activation::Relu,
    };
    let mlp = build(kind, image(), Target::Classes(10)).unwrap();
    assert_eq!(mlp.layout().len(), 199_210);
    assert_eq!(tensors(&mlp)[0], ("1.weight", &[200, 784][..]));
}

#[test]
fn lstm_tensors_are_called_as_in_pytorch() {
    let kind = ModelKind::Lstm {
        embedding: 8,
        hidden: 256,
        layers: 2,
    };
    let input = Input::Tokens {
        length: 80,
        vocabulary: 86,
    };
    let lstm = build(kind, input, Target::NextTokens(86)).unwrap();
    let names: Vec<&str> = tensors(&lstm).into_iter().map(|(name, _)| name).collect();
    let lstm_names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"];
    assert_eq!(names[0], "0.weight");
    assert_eq!(names[1..5], lstm_names.map(|name| format!("1.{name}")));
    assert_eq!(names[9..], ["3.weight", "3.bias"]);
    let (first, second) = (1024 * (8 + 256 + 2), 1024 * (256 + 256 + 2));
    assert_eq!(lstm.layout().len(), 86 * 8 + first + second + 86 * 257);
}

#[test]
fn initial_values_follow_from_seed_and_names() {
    let kind = || ModelKind::Mlp {
        hidden: vec![30],
        activation: Activation::Relu,
    };
    let model = build(kind(), image(), Target::Classes(10)).unwrap();
    let other = build(kind(), image(), Target::Classes(4)).unwrap();
    let (first, second) = (model.initial(&Seed::from(1)), model.initial(&Seed::from(2)));
    assert_eq!(first, model.initial(&Seed::from(1)));
    assert_ne!(first, second);
    let other = other.initial(&Seed::from(1));
    assert_eq!(first.tensor("1.weight"), other.tensor("1.weight"));
    let weights = first.tensor("1.weight").unwrap();
    let variance = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
    // Uniform: variance 2 / 784, whose estimate deviates by 0.9 / √23,520 of it.
    assert!(
        (variance * 392.0 - 1.0).abs() < 5.0 * 0.9 / 153.0,
        "{variance}"
    );
    assert_eq!(first.tensor("1.bias").unwrap(), [0.0; 30]);
}

#[test]
fn a_layer_that_does_not_fit_is_refused_by_its_place() {
    let conv = Layer::Conv2d {
        channels: 4,
        kernel: 5,
        stride: 1,
        padding: 0,
        bias: true,
    };
    let message = refusal(vec![dense(Some(8)), conv.clone()], &[9]);
    assert!(
        message.contains("layer 1 of the model (conv2d)"),
        "{message}"
    );
    assert!(message.contains("a vector of 8"), "{message}");
    let message = refusal(vec![conv.clone(), Layer::Flatten, dense(None)], &[3, 4, 4]);
    assert!(
        message.contains("the kernel of 5 is larger; add padding"),
        "{message}"
    );
    let message = refusal(vec![conv, dense(None)], &[3, 9, 9]);
    assert!(message.contains("put \"flatten\""), "{message}");
    let message = refusal(vec![Layer::GroupNorm { groups: 5 }], &[3, 9, 9]);
    assert!(
        message.contains("5 groups do not divide 3 channels"),
        "{message}"
    );
    let inner = Layer::Residual {
        layers: vec![dense(Some(4))],
    };
    let message = refusal(vec![dense(Some(8)), inner], &[9]);
    assert!(message.contains("residual at layer 1"), "{message}");
    let message = refusal(vec![dense(Some(4))], &[9]);
    assert!(message.contains("ends with a vector of 4"), "{message}");
    let message = refusal(vec![Layer::Embedding { dimension: 4 }], &[9]);
    assert!(message.contains("needs tokens"), "{message}");
}

#[test]
fn a_model_whose_loss_does_not_fit_the_target_is_refused() {
    let table = || Input::Values(vec![13]);
    let logistic = build(ModelKind::Logistic, table(), Target::Classes(3)).unwrap_err();
    assert!(
        logistic.to_string().contains("one of 3 classes"),
        "{logistic}"
    );
    assert!(build(ModelKind::Linear, table(), Target::Classes(2)).is_err());
    assert!(build(ModelKind::Softmax, table(), Target::Value).is_err());
    let external = build(ModelKind::External, table(), Target::Value).unwrap_err();
    assert_eq!(external, ModelError::External);
}

#[test]
fn a_layer_has_one_scope() {
    let kind = || ModelKind::Mlp {
        hidden: vec![30],
        activation: Activation::Relu,
    };
    let model = || build(kind(), image(), Target::Classes(10)).unwrap();
    let local = |prefix: &'static str| {
        move |name: &str| {
            if name.starts_with(prefix) {
                Scope::Local
            } else {
                Scope::Shared
            }
        }
    };
    let personal = model().with_scopes(local("3.")).unwrap();
    assert_eq!(personal.layout().shared_len(), 784 * 30 + 30);
    let split = model().with_scopes(local("3.bias")).unwrap_err();
    assert_eq!(
        split,
        ModelError::SplitLayer {
            tensor: "3.weight".into()
        }
    );
}

#[test]
fn the_torch_source_has_every_layer_and_name() {
    let layers = vec![
        Layer::Flatten,
        dense(Some(8)),
        Layer::Residual {
            layers: vec![Layer::Tanh, dense(Some(8))],
        },
        dense(None),
    ];
    let model = build(ModelKind::Layers { layers }, image(), Target::Classes(2)).unwrap();
    let source = torch_source(&model, &["no".to_owned(), "\"é\"".to_owned()]);
    let module = "\
        super().__init__(
            nn.Flatten(),
            nn.Linear(784, 8),
            Residual(
                nn.Tanh(),
                nn.Linear(8, 8),
            ),
            nn.Linear(8, 2),
        )
";
    assert!(source.contains(module), "{source}");
    assert!(source.contains("class Residual(nn.Sequential):"));
    assert!(!source.contains("class Lstm("));
    assert!(
        source.contains("    \"\\\"\\U000000e9\\\"\",\n"),
        "{source}"
    );
}
