//! Times of one step of each fixture, and of a whole tiny client: the least of many, in microseconds.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use commonweal_core::job::{self, ModelKind};
use commonweal_core::{
    ClientName, ClientPipeline, ClientRows, ClientState, Digest, Entropy, LocalOptimizer,
    MetricSpec, ModelVersion, Quantizer, Seed, Stage, Task, TaskId, TaskKind, TrainPlan, Trainer,
    Weighting,
};
use commonweal_data::{Bytes, Dataset, Features, Roster, Targets};
use commonweal_train::fixture::Fixture;
use commonweal_train::{BuiltInTrainer, Model};

fn main() {
    let fixtures = [
        ("2nn step", Fixture::two_nn()),
        ("softmax step", Fixture::softmax()),
        ("cnn step", Fixture::cnn()),
        ("lstm step", Fixture::lstm()),
    ];
    for (name, fixture) in fixtures {
        let mut fixture = fixture.unwrap();
        report(name, || {
            black_box(fixture.step());
        });
    }
    softmax_client();
}

/// Runs `work` for two seconds and prints the shortest time.
fn report(name: &str, mut work: impl FnMut()) {
    if std::env::args()
        .nth(1)
        .is_some_and(|wanted| wanted != "--bench" && !name.contains(&wanted))
    {
        return;
    }
    let (start, mut least) = (Instant::now(), Duration::MAX);
    while start.elapsed() < Duration::from_secs(2) {
        let before = Instant::now();
        work();
        least = least.min(before.elapsed());
    }
    println!("{name:20} {:10.2} µs", least.as_secs_f64() * 1e6);
}

/// Softmax on 784 pixels, 6 rows in one batch: model copied, trained, update made.
fn softmax_client() {
    let bytes = Bytes::new(
        (0..6 * 784).map(|i| (i % 251) as u8).collect(),
        vec![784],
        1.0 / 255.0,
    );
    let targets = Targets::Classes {
        labels: [0, 1, 2, 3, 4, 5].into(),
        classes: 10,
    };
    let data = Dataset::new(Features::Bytes(bytes.unwrap()), targets, Roster::new(6)).unwrap();
    let model = job::Model {
        kind: ModelKind::Softmax,
        init: None,
    };
    let model = Arc::new(Model::build(&model, &data.shape()).unwrap());
    let parameters = model.initial(&Seed::from(1));
    let mut trainer = BuiltInTrainer::new(Arc::clone(&model), Arc::new(data));
    let client = ClientName::try_from("client-0001").unwrap();
    let plan = Arc::new(TrainPlan {
        epochs: 1,
        steps: None,
        batch_size: Some(6),
        optimizer: LocalOptimizer::PLAIN_SGD,
        learning_rate: 0.1,
        class_weights: None,
        weighting: Weighting::Examples,
        metrics: Arc::new(MetricSpec::loss()),
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
    report("softmax client", || {
        let data = ClientRows {
            client: &client,
            train: &[0, 1, 2, 3, 4, 5],
            test: &[],
        };
        let (state, entropy) = (ClientState::default(), Entropy::new([0; 32]));
        black_box(
            trainer
                .train(&task, &plan, data, &parameters, state, entropy, &mut ())
                .unwrap(),
        );
    });
}
