//! Times what the core adds to training: a round's bookkeeping for each client, and aggregation.
//!
//! Times are the least of several runs: what the work costs when nothing else disturbs it. An argument chooses
//! the parts whose name contains it.
#![expect(clippy::expect_used, reason = "a bench has nobody to report to")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use commonweal_core::job::{CohortSize, Decay, Schedule};
use commonweal_core::{
    Action, ClientIndex, ClientPipeline, ClientUpdate, Digest, Entropy, Event, ExportType, Fold,
    Layout, LocalOptimizer, Mean, MetricKind, MetricSpec, ModelVersion, Parameters, Payload,
    Poisson, Population, Quantizer, Randomness, Report, Rule, Run, RunSpec, Scope, Seed, Selector,
    ServerPipeline, Step, Strategy, TaskKind, TensorSpec, Time, TrainPlan, Uniform, Weight,
    Weighting,
};

fn main() {
    let filter = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let chosen = |name: &str| filter.as_ref().is_none_or(|filter| name.contains(filter));
    if chosen("select") {
        let size = CohortSize::Target(1000);
        let uniform = Uniform {
            size,
            over_selection: 1.3,
        };
        selection("select 1,000 of 1,000,000 (uniform)", &uniform);
        selection(
            "select 0.1 % of 1,000,000 (Poisson)",
            &Poisson { rate: 0.001 },
        );
    }
    if chosen("round") {
        bookkeeping();
    }
    if chosen("aggregate") {
        aggregation(100, 1_663_370);
        aggregation(1000, 7850);
    }
}

fn selection(name: &str, selector: &dyn Selector) {
    let population = Population::numbered(1_000_000).expect("a million is possible");
    let time = least(|| {
        let randomness = Randomness::Public(Seed::from(1));
        black_box(selector.select(&population, 1, randomness));
    });
    println!("{name}: {:.3} ms", 1e3 * time.as_secs_f64());
}

/// A whole round of 1,000 of 10,000 clients whose training takes no time, on one thread.
fn bookkeeping() {
    let population = Population::numbered(10_000).expect("ten thousand is possible");
    let layout = layout(7850);
    let run = Run::new(spec(), Parameters::zeros(layout));
    let values = vec![0.001_f32; 7850];
    let mut clients = 0;
    let time = least(|| clients = play(&run, &population, &values));
    let each = 1e6 * time.as_secs_f64() / clients as f64;
    println!("round of {clients} × 7,850 values without training: {each:.2} µs a client");
}

/// Plays one round and returns how many clients were counted.
fn play(run: &Run, population: &Population, values: &[f32]) -> usize {
    let mut round = run.open_round(population, None, entropy(), Time::START);
    let fold = Arc::clone(round.fold());
    let mut accumulator = fold.zero();
    while let Some(action) = round.poll_action() {
        let event = match action {
            Action::Invite { client } => Event::CheckIn { client },
            Action::Configure { client, task } => {
                let TaskKind::Train(plan) = &task.kind else {
                    return 0;
                };
                let (base, seed) = (task.base, &task.seed);
                let message = report(Vec::new(), &plan.pipeline, values.to_vec(), base, seed);
                Event::Report {
                    client,
                    task: task.id,
                    step: Step(0),
                    message,
                }
            }
            Action::Fold { client, message } => {
                let folded = fold.accumulate(&mut accumulator, client, message);
                folded.expect("the report is honest");
                Event::Folded { client }
            }
            Action::Commit(committed) => return committed.counted().len(),
            _ => return 0,
        };
        round
            .handle(event, Time::START)
            .expect("nothing is out of order");
    }
    0
}

/// From `f32` updates to their `f32` mean, and the parts of it.
fn aggregation(clients: u32, len: usize) {
    let pipeline = ClientPipeline::plain(Quantizer::new(16.0).expect("16 is possible"));
    let server = Arc::new(ServerPipeline {
        rule: Rule::Sum(Arc::new(Mean)),
        quantizer: pipeline.quantizer,
        extras: Arc::clone(&pipeline.extras),
        shared_len: len,
        metrics: Arc::new(MetricSpec::loss()),
    });
    let base = ModelVersion(0);
    let fold = Fold::train(Arc::clone(&server), base, Weight::MAX, 1);
    let seed = Seed::from(1);
    let batch = 4;
    let updates: Vec<Vec<f32>> = (0..batch)
        .map(|client| {
            (0..len)
                .map(|at| ((at * 7 + client) % 1001) as f32 * 1e-5)
                .collect()
        })
        .collect();
    let mut parts = [Duration::MAX; 3];
    let mut spare = Vec::new();
    for _ in 0..7 {
        let mut times = [Duration::ZERO; 3];
        let mut accumulator = fold.zero();
        let mut reports = Vec::new();
        for client in 0..clients {
            let values = updates[client as usize % batch].clone();
            let memory = spare.pop().unwrap_or_default();
            let start = Instant::now();
            let payload = report(memory, &pipeline, values, base, &seed);
            times[0] += start.elapsed();
            let start = Instant::now();
            let report = fold.verify(ClientIndex(client), payload);
            reports.push(report.expect("the report is honest"));
            times[1] += start.elapsed();
            if reports.len() == batch || client + 1 == clients {
                let start = Instant::now();
                let refused = fold.accumulate_all(&mut accumulator, &mut reports);
                times[1] += start.elapsed();
                assert!(refused.is_empty(), "the reports are honest");
                spare.extend(reports.drain(..).map(Report::into_memory));
            }
        }
        let start = Instant::now();
        black_box(
            server
                .on_server(accumulator, entropy())
                .expect("there are updates"),
        );
        times[2] += start.elapsed();
        for (part, time) in parts.iter_mut().zip(times) {
            *part = (*part).min(time);
        }
    }
    let gigabytes = 4e-9 * f64::from(clients) * len as f64;
    let [protect, accumulate, finish] = parts.map(|part| part.as_secs_f64());
    println!(
        "aggregate {clients} × {len}: {:.2} GB/s (on_client {:.2}, verify and accumulate {:.2}, on_server {:.1} ms)",
        gigabytes / (protect + accumulate + finish),
        gigabytes / protect,
        gigabytes / accumulate,
        1e3 * finish,
    );
}

fn report(
    memory: Vec<u8>,
    pipeline: &ClientPipeline,
    values: Vec<f32>,
    base: ModelVersion,
    seed: &Seed,
) -> Payload {
    let metrics = MetricSpec::loss().zero();
    let update = ClientUpdate {
        values,
        weight: Weight::ONE,
        metrics,
        extras: Vec::new(),
    };
    let payload = pipeline.on_client_in(memory, update, base, seed, entropy());
    payload.expect("the update is small")
}

fn entropy() -> Entropy {
    Entropy::new([0; 32])
}

fn layout(len: usize) -> Arc<Layout> {
    let tensor = TensorSpec {
        name: "w".into(),
        shape: vec![len],
        scope: Scope::Shared,
        export: ExportType::F32,
    };
    Arc::new(Layout::new(vec![tensor]).expect("one tensor is a model"))
}

fn spec() -> RunSpec {
    let plan = TrainPlan {
        epochs: 1,
        steps: None,
        batch_size: Some(6),
        optimizer: LocalOptimizer::PLAIN_SGD,
        learning_rate: 0.1,
        class_weights: None,
        weighting: Weighting::Examples,
        metrics: Arc::new(MetricSpec::loss()),
        pipeline: ClientPipeline::plain(Quantizer::new(16.0).expect("16 is possible")),
    };
    let selector = Uniform {
        size: CohortSize::Target(1000),
        over_selection: 1.0,
    };
    let mut strategy = Strategy::fed_avg(Box::new(selector), plan, 1.0);
    strategy.schedule = Schedule {
        decay: Decay::Constant,
        warmup_rounds: 0,
    };
    RunSpec {
        manifest: Digest::of(b"job"),
        prepared: None,
        instruction_set: "any".into(),
        seed: Seed::from(1),
        rounds: 1,
        minimum: 1,
        round_ms: None,
        strategy,
        metrics: Arc::new(MetricSpec::new(vec![MetricKind::Loss], 10).expect("a loss fits")),
        evaluate_every: 1,
        metric: MetricKind::Loss,
        stop: None,
    }
}

fn least(mut work: impl FnMut()) -> Duration {
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..20).map(|_| time(&mut work)).min().unwrap_or_default()
}
