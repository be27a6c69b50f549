//! What the built-in trainer promises about one client: its update, its state, its faults.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use commonweal_core::job::{self, Activation, Layer, ModelKind};
use commonweal_core::{
    ClientName, ClientPipeline, ClientRows, ClientState, ClientUpdate, Digest, Entropy,
    EvaluatePlan, Flow, LocalOptimizer, MetricKind, MetricSpec, MetricSums, ModelVersion,
    Parameters, Progress, Quantizer, Scope, Seed, Stage, Task, TaskId, TaskKind, TrainError,
    TrainPlan, Trainer, Weighting,
};
use commonweal_data::{Dataset, Features, Floats, Roster, Targets};
use commonweal_train::{BuiltInTrainer, Model};

/// Rows of two features in two classes that a line parts.
fn table(rows: u32) -> Arc<Dataset> {
    let point = |row: u32| {
        [
            (row * 7 % 11) as f32 / 11.0 - 0.5,
            (row * 5 % 13) as f32 / 13.0 - 0.5,
        ]
    };
    let values: Vec<f32> = (0..rows).flat_map(point).collect();
    let labels = values
        .chunks(2)
        .map(|x| u32::from(x[0] + x[1] > 0.0))
        .collect();
    let floats = Floats::new(values, vec![2]).unwrap();
    let targets = Targets::Classes { labels, classes: 2 };
    Arc::new(Dataset::new(Features::Floats(floats), targets, Roster::new(rows)).unwrap())
}

fn mlp() -> ModelKind {
    ModelKind::Mlp {
        hidden: vec![8],
        activation: Activation::Tanh,
    }
}

fn build(kind: ModelKind, data: &Dataset) -> Arc<Model> {
    let model = job::Model { kind, init: None };
    Arc::new(Model::build(&model, &data.shape()).unwrap())
}

fn plan() -> TrainPlan {
    TrainPlan {
        epochs: 3,
        steps: None,
        batch_size: Some(4),
        optimizer: LocalOptimizer::PLAIN_SGD,
        learning_rate: 0.5,
        class_weights: None,
        weighting: Weighting::Examples,
        metrics: Arc::new(MetricSpec::loss()),
        pipeline: ClientPipeline::plain(Quantizer::new(16.0).unwrap()),
    }
}

fn task(kind: TaskKind) -> Task {
    Task {
        id: TaskId {
            round: 1,
            stage: Stage::Train,
            attempt: 0,
        },
        manifest: Digest::of(b"job"),
        prepared: None,
        base: ModelVersion(0),
        seed: Seed::from(5),
        deadline: None,
        cohort: 1,
        kind,
    }
}

type Trained = Result<(ClientUpdate, ClientState), TrainError>;

fn train_watched(
    trainer: &mut BuiltInTrainer,
    plan: TrainPlan,
    rows: &[u32],
    model: &Parameters,
    state: ClientState,
    progress: &mut dyn Progress,
) -> Trained {
    let client = ClientName::try_from("client").unwrap();
    let plan = Arc::new(plan);
    let task = task(TaskKind::Train(Arc::clone(&plan)));
    let data = ClientRows {
        client: &client,
        train: rows,
        test: &[],
    };
    trainer.train(
        &task,
        &plan,
        data,
        model,
        state,
        Entropy::new([0; 32]),
        progress,
    )
}

fn train(
    trainer: &mut BuiltInTrainer,
    plan: TrainPlan,
    rows: &[u32],
    model: &Parameters,
) -> Trained {
    train_watched(trainer, plan, rows, model, ClientState::default(), &mut ())
}

fn evaluate(
    trainer: &mut BuiltInTrainer,
    spec: &MetricSpec,
    rows: &[u32],
    model: &Parameters,
) -> MetricSums {
    let client = ClientName::try_from("client").unwrap();
    let plan = EvaluatePlan {
        metrics: Arc::new(spec.clone()),
    };
    let task = task(TaskKind::Evaluate(Arc::new(plan.clone())));
    let data = ClientRows {
        client: &client,
        train: &[],
        test: rows,
    };
    trainer
        .evaluate(&task, &plan, data, model, &ClientState::default(), &mut ())
        .unwrap()
}

#[test]
fn training_moves_the_model_towards_its_rows() {
    let data = table(60);
    let model = build(mlp(), &data);
    let mut trainer = BuiltInTrainer::new(Arc::clone(&model), data);
    let rows: Vec<u32> = (0..60).collect();
    let mut parameters = model.initial(&Seed::from(1));
    let plan = TrainPlan {
        epochs: 60,
        ..plan()
    };
    let (update, state) = train(&mut trainer, plan, &rows, &parameters).unwrap();
    assert_eq!(update.weight.value(), 60);
    assert_eq!(state.bytes, [0; 0]);
    for (value, change) in parameters.values_mut().iter_mut().zip(&update.values) {
        *value += change;
    }
    let kinds = vec![MetricKind::Loss, MetricKind::Accuracy, MetricKind::RocAuc];
    let spec = MetricSpec::new(kinds, 2).unwrap();
    let sums = evaluate(&mut trainer, &spec, &rows, &parameters);
    assert!(spec.value(MetricKind::Accuracy, &sums).unwrap() > 0.95);
    assert!(spec.value(MetricKind::RocAuc, &sums).unwrap() > 0.99);
}

#[test]
fn a_result_does_not_depend_on_what_was_trained_before() {
    let data = table(40);
    let dropout = vec![
        Layer::Dense {
            units: Some(8),
            bias: true,
        },
        Layer::Dropout { rate: 0.5 },
        Layer::Dense {
            units: None,
            bias: true,
        },
    ];
    let adam = LocalOptimizer::Adam {
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.0,
        decoupled: false,
    };
    for (kind, optimizer) in [
        (mlp(), adam),
        (
            ModelKind::Layers { layers: dropout },
            LocalOptimizer::PLAIN_SGD,
        ),
    ] {
        let model = build(kind, &data);
        let parameters = model.initial(&Seed::from(1));
        let plan = || TrainPlan {
            optimizer,
            ..plan()
        };
        let mut fresh = BuiltInTrainer::new(Arc::clone(&model), Arc::clone(&data));
        let expected = train(&mut fresh, plan(), &[3, 1, 4, 15, 9, 2, 6], &parameters);
        let mut used = BuiltInTrainer::new(Arc::clone(&model), Arc::clone(&data));
        let wide = TrainPlan {
            batch_size: None,
            ..plan()
        };
        train(&mut used, wide, &(0..40).collect::<Vec<_>>(), &parameters).unwrap();
        assert_eq!(
            train(&mut used, plan(), &[3, 1, 4, 15, 9, 2, 6], &parameters),
            expected
        );
    }
}

#[test]
fn a_batch_larger_than_a_block_steps_along_the_same_gradient() {
    let data = table(400);
    let model = build(mlp(), &data);
    assert!(model.block() < 400);
    let parameters = model.initial(&Seed::from(1));
    let mut trainer = BuiltInTrainer::new(Arc::clone(&model), Arc::clone(&data));
    let rows: Vec<u32> = (0..400).collect();
    let step = |batch_size, weights: &[f32]| TrainPlan {
        epochs: 1,
        batch_size,
        class_weights: Some(weights.into()),
        learning_rate: 1.0,
        ..plan()
    };
    let mut expected = vec![0.0; parameters.values().len()];
    // With weights (1, 3) the mean over 400 rows is a weighted mean over its two halves.
    let weight = |rows: &[u32]| {
        let mut labels = vec![0; rows.len()];
        data.fill_labels(rows, &mut labels);
        labels
            .iter()
            .map(|&label| 1.0 + 2.0 * label as f32)
            .sum::<f32>()
    };
    for half in rows.chunks(200) {
        let (update, _) = train(&mut trainer, step(None, &[1.0, 3.0]), half, &parameters).unwrap();
        for (expected, value) in expected.iter_mut().zip(&update.values) {
            *expected += value * weight(half) / weight(&rows);
        }
    }
    let (update, _) = train(&mut trainer, step(None, &[1.0, 3.0]), &rows, &parameters).unwrap();
    for (found, expected) in update.values.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
    }
}

#[test]
fn a_diverging_training_is_refused_with_its_step() {
    let data = table(40);
    let kind = ModelKind::Mlp {
        hidden: vec![8],
        activation: Activation::Relu,
    };
    let model = build(kind, &data);
    let mut parameters = model.initial(&Seed::from(1));
    let mut trainer = BuiltInTrainer::new(model, data);
    let plan = || TrainPlan {
        learning_rate: 1e30,
        ..plan()
    };
    let found = train(&mut trainer, plan(), &[1, 2, 3, 4, 5], &parameters);
    assert!(
        matches!(found, Err(TrainError::Diverged { step: 1..=6 })),
        "{found:?}"
    );
    parameters.values_mut()[0] = f32::NAN;
    let found = train(&mut trainer, plan(), &[1, 2, 3, 4, 5], &parameters);
    assert_eq!(found, Err(TrainError::Diverged { step: 1 }));
}

#[test]
fn a_client_without_rows_is_refused() {
    let data = table(4);
    let model = build(mlp(), &data);
    let parameters = model.initial(&Seed::from(1));
    let found = train(
        &mut BuiltInTrainer::new(model, data),
        plan(),
        &[],
        &parameters,
    );
    assert_eq!(found, Err(TrainError::NoRows));
}

#[test]
fn a_plan_with_weights_for_other_classes_is_refused() {
    let data = table(4);
    let model = build(mlp(), &data);
    let parameters = model.initial(&Seed::from(1));
    let plan = TrainPlan {
        class_weights: Some([1.0; 3].into()),
        ..plan()
    };
    let found = train(
        &mut BuiltInTrainer::new(model, data),
        plan,
        &[0],
        &parameters,
    );
    assert!(
        matches!(found, Err(TrainError::Unsupported { .. })),
        "{found:?}"
    );
}

/// Counts steps and ends the work at one of them.
struct Until(u64, Vec<(u64, u64)>);

impl Progress for Until {
    fn step(&mut self, done: u64, total: u64) -> Flow {
        self.1.push((done, total));
        if done == self.0 {
            Flow::Cancel
        } else {
            Flow::Continue
        }
    }
}

#[test]
fn progress_sees_every_step_and_can_cancel() {
    let data = table(10);
    let model = build(mlp(), &data);
    let parameters = model.initial(&Seed::from(1));
    let mut trainer = BuiltInTrainer::new(model, data);
    let rows: Vec<u32> = (0..10).collect();
    let mut progress = Until(4, Vec::new());
    let state = ClientState::default();
    let found = train_watched(
        &mut trainer,
        plan(),
        &rows,
        &parameters,
        state,
        &mut progress,
    );
    assert_eq!(found, Err(TrainError::Cancelled));
    // 10 rows are 3 batches of at most 4, in 3 epochs.
    assert_eq!(progress.1, [(1, 9), (2, 9), (3, 9), (4, 9)]);
}

#[test]
fn frozen_tensors_stay_and_local_ones_go_from_round_to_round_in_the_state() {
    let data = table(20);
    let kind = ModelKind::Mlp {
        hidden: vec![8, 4],
        activation: Activation::Tanh,
    };
    let model = Model::build(&job::Model { kind, init: None }, &data.shape()).unwrap();
    let model = Arc::new(model.with_scopes(scope).unwrap());
    let parameters = model.initial(&Seed::from(1));
    let rows: Vec<u32> = (0..20).collect();
    let momentum = LocalOptimizer::Sgd {
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.1,
    };
    for optimizer in [LocalOptimizer::PLAIN_SGD, momentum] {
        let mut trainer = BuiltInTrainer::new(Arc::clone(&model), Arc::clone(&data));
        let plan = || TrainPlan {
            optimizer,
            learning_rate: 0.1,
            ..plan()
        };
        let (update, state) = train(&mut trainer, plan(), &rows, &parameters).unwrap();
        assert_eq!(update.values.len(), 4 * 8 + 4);
        assert_eq!(state.bytes.len(), 4 * (4 * 2 + 2));
        let own = model.layout().tensor("4.bias").unwrap();
        let first: Vec<u8> = parameters.values()[own.range()]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        assert_ne!(state.bytes[32..], first);
        let (again, next) = train_watched(
            &mut trainer,
            plan(),
            &rows,
            &parameters,
            state.clone(),
            &mut (),
        )
        .unwrap();
        assert_ne!(again.values, update.values);
        assert_ne!(next.bytes, state.bytes);
    }
}

fn scope(name: &str) -> Scope {
    match name.as_bytes()[0] {
        b'0' => Scope::Frozen,
        b'2' => Scope::Shared,
        _ => Scope::Local,
    }
}

#[test]
fn predictions_are_probabilities_in_the_order_of_the_rows() {
    let data = table(300);
    let rows: Vec<u32> = (0..300).rev().collect();
    for kind in [mlp(), ModelKind::Logistic] {
        let model = build(kind, &data);
        let parameters = model.initial(&Seed::from(1));
        let mut trainer = BuiltInTrainer::new(model, Arc::clone(&data));
        let scores = trainer.predict(&parameters, &rows);
        assert_eq!(scores.len(), 2 * rows.len());
        for (scores, row) in scores.chunks(2).zip(&rows) {
            assert!((scores[0] + scores[1] - 1.0).abs() < 1e-6);
            let alone = trainer.predict(&parameters, &[*row]);
            // One row is summed in another order than many.
            assert!((alone[0] - scores[0]).abs() < 1e-6, "row {row}");
        }
    }
}
