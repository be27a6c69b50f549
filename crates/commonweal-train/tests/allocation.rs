//! A training step allocates nothing: thirty steps ask for memory as often as three.

#![expect(unsafe_code, reason = "only an allocator can count allocations")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;
use std::sync::Arc;

use commonweal_core::job::{self, Activation, Layer, ModelKind};
use commonweal_core::{
    ClientName, ClientPipeline, ClientRows, ClientState, Digest, Entropy, LocalOptimizer,
    MetricKind, MetricSpec, ModelVersion, Quantizer, Seed, Stage, Task, TaskId, TaskKind,
    TrainPlan, Trainer, Weighting,
};
use commonweal_data::{Dataset, Features, Floats, Roster, Targets, Tokens, Vocabulary};
use commonweal_train::{BuiltInTrainer, Model};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, memory: Memory) {
        // SAFETY: as the caller promised; `pointer` came from the system's allocator.
        unsafe { System.dealloc(pointer, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn images() -> Dataset {
    let values = (0..12 * 64).map(|i| (i * 7 % 31) as f32 / 31.0).collect();
    let floats = Floats::new(values, vec![1, 8, 8]).unwrap();
    let targets = Targets::Classes {
        labels: (0..12).map(|i| i % 3).collect(),
        classes: 3,
    };
    Dataset::new(Features::Floats(floats), targets, Roster::new(12)).unwrap()
}

fn text() -> Dataset {
    let characters = Vocabulary::new("abcdefgh".chars()).unwrap();
    let text = (0..60).map(|i| (i * 5 % 9) as u16).collect();
    let tokens = Tokens::new(text, (0..12).collect(), 10, characters).unwrap();
    Dataset::new(
        Features::Tokens(tokens),
        Targets::NextTokens,
        Roster::new(12),
    )
    .unwrap()
}

/// Allocations of one client's training in so many steps of up to 5 rows, once memory is warm.
fn allocations(
    trainer: &mut BuiltInTrainer,
    model: &Model,
    optimizer: LocalOptimizer,
    metrics: &Arc<MetricSpec>,
    steps: u32,
) -> u64 {
    let client = ClientName::try_from("client").unwrap();
    let plan = Arc::new(TrainPlan {
        epochs: 1,
        steps: Some(steps),
        batch_size: Some(5),
        optimizer,
        learning_rate: 0.01,
        class_weights: None,
        weighting: Weighting::Examples,
        metrics: Arc::clone(metrics),
        pipeline: ClientPipeline::plain(Quantizer::new(16.0).unwrap()),
    });
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
    let rows: Vec<u32> = (0..12).collect();
    let data = ClientRows {
        client: &client,
        train: &rows,
        test: &[],
    };
    let parameters = model.initial(&Seed::from(1));
    let (state, entropy) = (ClientState::default(), Entropy::new([0; 32]));
    let before = ALLOCATIONS.get();
    let result = trainer.train(&task, &plan, data, &parameters, state, entropy, &mut ());
    let allocations = ALLOCATIONS.get() - before;
    result.unwrap();
    allocations
}

fn expect_none_per_step(kind: ModelKind, data: Dataset, optimizer: LocalOptimizer) {
    let metrics = [
        MetricSpec::loss(),
        MetricSpec::new(vec![MetricKind::Accuracy], classes(&data)).unwrap(),
    ];
    let model = job::Model { kind, init: None };
    let model = Arc::new(Model::build(&model, &data.shape()).unwrap());
    let mut trainer = BuiltInTrainer::new(Arc::clone(&model), Arc::new(data));
    for metrics in metrics.map(Arc::new) {
        let mut count = |steps| allocations(&mut trainer, &model, optimizer, &metrics, steps);
        count(3);
        let (few, many) = (count(3), count(30));
        assert_eq!(few, many, "27 steps more");
        assert!(few < 10, "{few} allocations a client");
    }
}

fn classes(data: &Dataset) -> u32 {
    match data.shape().target {
        commonweal_data::Target::Classes(classes) => classes as u32,
        commonweal_data::Target::NextTokens(tokens) => tokens as u32,
        commonweal_data::Target::Value => 0,
    }
}

#[test]
fn no_step_of_the_named_models_allocates() {
    let sgd = LocalOptimizer::PLAIN_SGD;
    expect_none_per_step(ModelKind::Softmax, images(), sgd);
    let mlp = ModelKind::Mlp {
        hidden: vec![20, 20],
        activation: Activation::Gelu,
    };
    expect_none_per_step(mlp, images(), sgd);
    expect_none_per_step(ModelKind::Cnn, images(), sgd);
    let lstm = ModelKind::Lstm {
        embedding: 4,
        hidden: 16,
        layers: 2,
    };
    expect_none_per_step(lstm, text(), sgd);
}

#[test]
fn no_step_of_any_optimizer_or_layer_allocates() {
    let dense = |units| Layer::Dense { units, bias: true };
    let layers = vec![
        Layer::Conv2d {
            channels: 4,
            kernel: 3,
            stride: 2,
            padding: 1,
            bias: true,
        },
        Layer::GroupNorm { groups: 2 },
        Layer::Relu,
        Layer::AvgPool2d {
            size: 2,
            stride: None,
        },
        Layer::Flatten,
        Layer::Residual {
            layers: vec![dense(Some(16)), Layer::Tanh],
        },
        Layer::LayerNorm,
        Layer::Dropout { rate: 0.2 },
        dense(None),
    ];
    let optimizers = [
        LocalOptimizer::Sgd {
            momentum: 0.9,
            nesterov: true,
            weight_decay: 0.1,
        },
        LocalOptimizer::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
        },
        LocalOptimizer::Adagrad {
            epsilon: 1e-10,
            weight_decay: 0.01,
        },
    ];
    for optimizer in optimizers {
        let kind = ModelKind::Layers {
            layers: layers.clone(),
        };
        expect_none_per_step(kind, images(), optimizer);
    }
}
