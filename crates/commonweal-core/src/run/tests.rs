//! Whole runs under a driver that trains by a formula: reproducibility, snapshots, stopping rules.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::job::{CohortSize, Decay, Schedule, Threshold};
use crate::{
    Action, ClientIndex, ClientPipeline, ClientUpdate, Event, ExportType, Layout, LocalOptimizer,
    Outcome, Payload, Prediction, Quantizer, Scope, Step, Strategy, Task, TensorSpec, Uniform,
    Weighting, unit,
};

fn layout() -> Arc<Layout> {
    let tensor = |name: &str, scope| TensorSpec {
        name: name.into(),
        shape: vec![2],
        scope,
        export: ExportType::F32,
    };
    Arc::new(
        Layout::new(vec![
            tensor("w", Scope::Shared),
            tensor("own", Scope::Local),
        ])
        .unwrap(),
    )
}

fn spec(rounds: u64) -> RunSpec {
    let plan = TrainPlan {
        epochs: 1,
        steps: None,
        batch_size: None,
        optimizer: LocalOptimizer::PLAIN_SGD,
        learning_rate: 0.5,
        class_weights: None,
        weighting: Weighting::Examples,
        metrics: Arc::new(MetricSpec::loss()),
        pipeline: ClientPipeline::plain(Quantizer::new(16.0).unwrap()),
    };
    let selector = Uniform {
        size: CohortSize::Target(4),
        over_selection: 1.0,
    };
    let mut strategy = Strategy::fed_avg_momentum(Box::new(selector), plan, 1.0, 0.5);
    strategy.schedule = Schedule {
        decay: Decay::Exponential { factor: 0.9 },
        warmup_rounds: 0,
    };
    let metrics = vec![MetricKind::Loss, MetricKind::Accuracy];
    RunSpec {
        manifest: Digest::of(b"job"),
        prepared: Some(Digest::of(b"found")),
        instruction_set: "avx2".into(),
        seed: Seed::from(1),
        rounds,
        minimum: 1,
        round_ms: None,
        strategy,
        metrics: Arc::new(MetricSpec::new(metrics, 2).unwrap()),
        evaluate_every: 2,
        metric: MetricKind::Loss,
        stop: None,
    }
}

fn entropy() -> Entropy {
    Entropy::new([0; 32])
}

fn population() -> Population {
    Population::numbered(10).unwrap()
}

/// Pulls the model towards the client's own point, with noise from the client's seed.
fn train(task: &Task, model: &Parameters, client: ClientIndex) -> Option<Payload> {
    let TaskKind::Train(plan) = &task.kind else {
        return None;
    };
    let mut rng = task.seed.rng();
    let target = client.0 as f32 / 10.0;
    let step = |&value: &f32| plan.learning_rate * (target - value) + unit(&mut rng) as f32 / 10.0;
    let update = ClientUpdate {
        values: model.shared().iter().map(step).collect(),
        weight: plan.weighting.of(u64::from(client.0) + 1).unwrap(),
        metrics: plan.metrics.zero(),
        extras: Vec::new(),
    };
    Some(
        plan.pipeline
            .on_client(update, task.base, &task.seed, entropy())
            .unwrap(),
    )
}

fn evaluate(task: &Task, model: &Parameters) -> Payload {
    let TaskKind::Evaluate(plan) = &task.kind else {
        panic!("{task:?}")
    };
    let mut sums = plan.metrics.zero();
    let loss = f64::from((model.values()[0] - 0.5).abs());
    let outcome = Outcome::Class {
        label: 1,
        predicted: u32::from(loss < 0.1),
        score: 0.5,
    };
    sums.observe(&plan.metrics, Prediction { loss, outcome })
        .unwrap();
    Payload::metrics(task.base, &sums)
}

/// Does everything that a round asks for at once; `fails` says which clients do not report.
fn drive(
    run: &Run,
    mut round: Round,
    fails: impl Fn(ClientIndex) -> bool,
) -> (Action, Accumulator) {
    let fold = Arc::clone(round.fold());
    let mut accumulator = fold.zero();
    loop {
        let event = match round.poll_action().unwrap() {
            Action::Invite { client } => Event::CheckIn { client },
            Action::Configure { client, .. } if fails(client) => Event::Failed { client },
            Action::Configure { client, task } => {
                let message = train(&task, run.model(), client)
                    .unwrap_or_else(|| evaluate(&task, run.model()));
                Event::Report {
                    client,
                    task: task.id,
                    step: Step(0),
                    message,
                }
            }
            Action::Fold { client, message } => {
                fold.accumulate(&mut accumulator, client, message).unwrap();
                Event::Folded { client }
            }
            Action::Commit(_) | Action::Abandon(_) if round.poll_action().is_some() => {
                panic!("an action after the end")
            }
            end @ (Action::Commit(_) | Action::Abandon(_)) => return (end, accumulator),
            other => panic!("{other:?}"),
        };
        round.handle(event, Time::START).unwrap();
    }
}

/// What comes next of a run; `None` at its end.
fn open(run: &Run) -> Option<Round> {
    match run.next() {
        Next::Train => Some(run.open_round(&population(), None, entropy(), Time::START)),
        Next::Evaluate => Some(run.open_evaluation(&population(), entropy(), Time::START)),
        Next::End(_) => None,
    }
}

/// One step of a run; `false` at its end.
fn advance(run: &mut Run, fails: impl Fn(ClientIndex) -> bool) -> bool {
    let Some(round) = open(run) else {
        return false;
    };
    let stage = round.task().stage;
    let now = run.time().after_ms(10);
    match drive(run, round, fails) {
        (Action::Commit(committed), accumulator) if stage == Stage::Train => {
            run.commit(&committed, accumulator, entropy(), now).unwrap();
        }
        (Action::Commit(committed), accumulator) => {
            run.commit_evaluation(&committed, &accumulator, now)
                .unwrap();
        }
        (Action::Abandon(abandoned), _) => run.abandon(&abandoned, now).unwrap(),
        (other, _) => panic!("{other:?}"),
    }
    true
}

fn new_run(rounds: u64) -> Run {
    Run::new(spec(rounds), Parameters::zeros(layout()))
}

#[test]
fn a_run_trains_and_evaluates_to_its_last_round() {
    let mut run = new_run(5);
    let mut stages = Vec::new();
    loop {
        stages.push(run.next());
        if !advance(&mut run, |_| false) {
            break;
        }
    }
    let (train, evaluate) = (Next::Train, Next::Evaluate);
    let expected = [
        train,
        train,
        evaluate,
        train,
        train,
        evaluate,
        train,
        evaluate,
        Next::End(End::Rounds),
    ];
    assert_eq!(stages, expected);
    assert_eq!(
        (run.round(), run.version(), run.abandoned()),
        (5, ModelVersion(5), 0)
    );
    assert!(run.best().is_some_and(|best| best.value < 0.5));
    assert_eq!(run.model().tensor("own"), Some(&[0.0, 0.0][..]));
}

#[test]
fn equal_runs_end_in_equal_models_and_other_seeds_in_others() {
    let end = |seed| {
        let mut run = Run::new(
            RunSpec {
                seed: Seed::from(seed),
                ..spec(4)
            },
            Parameters::zeros(layout()),
        );
        while advance(&mut run, |_| false) {}
        run.model().digest()
    };
    assert_eq!(end(1), end(1));
    assert_ne!(end(1), end(2));
}

proptest! {
    #[test]
    fn a_run_restored_anywhere_is_as_if_never_stopped(stops in proptest::collection::vec(any::<bool>(), 12)) {
        let fails = |client: ClientIndex| client.0 == 3;
        let mut straight = new_run(6);
        let mut stopped = new_run(6);
        for stop in stops {
            prop_assert_eq!(advance(&mut straight, fails), advance(&mut stopped, fails));
            if stop {
                let snapshot = Snapshot::parse(&stopped.snapshot()).unwrap();
                prop_assert_eq!(snapshot.round(), stopped.round());
                stopped = Run::restore(spec(6), &layout(), snapshot).unwrap();
            }
        }
        prop_assert_eq!(straight.snapshot(), stopped.snapshot());
        prop_assert_eq!(straight.next(), stopped.next());
    }
}

proptest! {
    #[test]
    fn no_bytes_under_a_right_checksum_panic(
        at in any::<proptest::sample::Index>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut lying = new_run(1).snapshot();
        lying.truncate(lying.len() - 32);
        let at = 7 + at.index(lying.len() - 7);
        let end = lying.len().min(at + bytes.len());
        lying[at..end].copy_from_slice(&bytes[..end - at]);
        lying.extend(Digest::of(&lying).as_bytes());
        if let Ok(snapshot) = Snapshot::parse(&lying) {
            let _ = Run::restore(spec(1), &layout(), snapshot);
        }
    }
}

#[test]
fn abandoned_rounds_change_nothing_and_three_in_a_row_end_the_run() {
    let rare = RunSpec {
        evaluate_every: 100,
        ..spec(9)
    };
    let mut run = Run::new(rare, Parameters::zeros(layout()));
    advance(&mut run, |_| false);
    let model = run.model().digest();
    advance(&mut run, |_| true);
    advance(&mut run, |_| true);
    assert_eq!(
        (run.round(), run.abandoned(), run.model().digest()),
        (3, 2, model)
    );
    advance(&mut run, |_| true);
    assert_eq!(run.next(), Next::Evaluate);
    advance(&mut run, |_| false);
    assert_eq!(run.next(), Next::End(End::Abandoned));
}

#[test]
fn a_run_ends_when_its_metric_is_reached() {
    let threshold = Some(Threshold::AtMost(0.3));
    let stop = Some(Stop {
        metric: MetricKind::Loss,
        threshold,
        patience: None,
    });
    let mut run = Run::new(RunSpec { stop, ..spec(100) }, Parameters::zeros(layout()));
    while advance(&mut run, |_| false) {}
    assert_eq!(run.next(), Next::End(End::Reached));
    assert!(run.round() < 100 && run.round().is_multiple_of(2));
}

#[test]
fn a_run_ends_when_its_patience_is_over() {
    let stop = Some(Stop {
        metric: MetricKind::Loss,
        threshold: None,
        patience: Some(3),
    });
    let mut run = Run::new(RunSpec { stop, ..spec(100) }, Parameters::zeros(layout()));
    // The learning rate falls to nothing, and with it any improvement.
    while advance(&mut run, |_| false) {}
    assert_eq!(run.next(), Next::End(End::Patience));
}

#[test]
fn an_accumulator_that_misses_a_counted_report_is_not_committed() {
    let mut run = new_run(2);
    let round = run.open_round(&population(), None, entropy(), Time::START);
    let empty = round.fold().zero();
    let (Action::Commit(committed), accumulator) = drive(&run, round, |_| false) else {
        panic!("no commit")
    };
    let refused = run.commit(&committed, empty, entropy(), Time::START);
    assert_eq!(
        refused,
        Err(CommitError::Incomplete {
            expected: 4,
            found: 0
        })
    );
    assert_eq!(run.version(), ModelVersion(0));
    run.commit(&committed, accumulator.clone(), entropy(), Time::START)
        .unwrap();
    let again = run.commit(&committed, accumulator, entropy(), Time::START);
    assert!(
        matches!(again, Err(CommitError::OtherTask { .. })),
        "committed twice: {again:?}"
    );
}

#[test]
fn the_largest_weight_of_a_plan_fits_the_cohort() {
    let run = new_run(1);
    let mut round = run.open_round(&population(), None, entropy(), Time::START);
    let mut found = None;
    while let Some(action) = round.poll_action() {
        match action {
            Action::Invite { client } => round
                .handle(Event::CheckIn { client }, Time::START)
                .unwrap(),
            Action::Configure { task, .. } => found = Some(task),
            other => panic!("{other:?}"),
        }
    }
    let Some(Task {
        kind: TaskKind::Train(plan),
        cohort: 4,
        ..
    }) = found
    else {
        panic!("no task")
    };
    assert_eq!(plan.pipeline.largest_weight, Weight::largest_for(4));
}

#[test]
fn every_task_names_the_job_and_what_prepare_found() {
    let mut run = new_run(2);
    while let Some(mut round) = open(&run) {
        while let Some(action) = round.poll_action() {
            match action {
                Action::Invite { client } => round
                    .handle(Event::CheckIn { client }, Time::START)
                    .unwrap(),
                Action::Configure { task, .. } => {
                    assert_eq!(task.manifest, run.spec().manifest);
                    assert_eq!(task.prepared, run.spec().prepared);
                }
                other => panic!("{other:?}"),
            }
        }
        advance(&mut run, |_| false);
    }
}

#[test]
fn a_snapshot_with_any_byte_changed_or_missing_is_refused() {
    let mut run = new_run(3);
    while advance(&mut run, |_| false) {}
    let whole = run.snapshot();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(Snapshot::parse(&changed).is_err(), "byte {at}");
        assert!(Snapshot::parse(&whole[..at]).is_err(), "{at} bytes");
    }
    assert_eq!(Snapshot::parse(b"PK"), Err(SnapshotError::Magic));
    let mut newer = whole.clone();
    newer[5] = 2;
    assert_eq!(
        Snapshot::parse(&newer),
        Err(SnapshotError::Format { found: 2 })
    );
}

#[test]
fn a_snapshot_of_something_else_is_refused_by_name() {
    let bytes = new_run(3).snapshot();
    let restore = |spec, layout: &Arc<Layout>| {
        Run::restore(spec, layout, Snapshot::parse(&bytes).unwrap())
            .map(|_| ())
            .unwrap_err()
    };
    let (expected, found) = (Digest::of(b"other"), Digest::of(b"job"));
    let other = restore(
        RunSpec {
            manifest: expected,
            ..spec(3)
        },
        &layout(),
    );
    assert_eq!(other, SnapshotError::OtherJob { expected, found });
    let other = restore(
        RunSpec {
            prepared: None,
            ..spec(3)
        },
        &layout(),
    );
    assert_eq!(other, SnapshotError::OtherData);
    let tensor = TensorSpec {
        name: "v".into(),
        shape: vec![4],
        scope: Scope::Shared,
        export: ExportType::F32,
    };
    let other = restore(spec(3), &Arc::new(Layout::new(vec![tensor]).unwrap()));
    assert_eq!(other, SnapshotError::OtherModel);
    let neon = || RunSpec {
        instruction_set: "neon".into(),
        ..spec(3)
    };
    let (expected, found) = ("neon".into(), "avx2".into());
    assert_eq!(
        restore(neon(), &layout()),
        SnapshotError::OtherInstructionSet { expected, found }
    );
    let accepted = Snapshot::parse(&bytes).unwrap().on_instruction_set("neon");
    assert!(Run::restore(neon(), &layout(), accepted).is_ok());
}

#[test]
fn prepare_sums_up_every_client_through_a_round() {
    let column = crate::ColumnSpec {
        name: "age".into(),
        statistic: crate::Statistic::Moments,
    };
    let spec = Arc::new(crate::PrepareSpec {
        columns: vec![column],
    });
    let mut round = open_prepare(
        Arc::clone(&spec),
        Digest::of(b"job"),
        &population(),
        1,
        None,
        entropy(),
        Time::START,
    );
    let fold = Arc::clone(round.fold());
    let mut accumulator = fold.zero();
    while let Some(action) = round.poll_action() {
        let event = match action {
            Action::Invite { client } => Event::CheckIn { client },
            Action::Configure { client, task } => {
                assert_eq!((task.manifest, task.prepared), (Digest::of(b"job"), None));
                let mut sums = crate::PrepareSums::of_client(&spec, 1);
                sums.observe_number(&spec, 0, client.0 as f32).unwrap();
                let message = Payload::prepare(task.base, &sums);
                Event::Report {
                    client,
                    task: task.id,
                    step: Step(0),
                    message,
                }
            }
            Action::Fold { client, message } => {
                fold.accumulate(&mut accumulator, client, message).unwrap();
                Event::Folded { client }
            }
            Action::Commit(_) => break,
            other => panic!("{other:?}"),
        };
        round.handle(event, Time::START).unwrap();
    }
    let found = accumulator
        .prepare()
        .unwrap()
        .finish(&spec, Digest::of(b"job"))
        .unwrap();
    assert_eq!((found.clients, found.rows), (10, 10));
    let moments = crate::Found::Moments {
        count: 10,
        mean: 4.5,
        deviation: libm::sqrt(8.25),
    };
    assert_eq!(found.column("age"), Some(&moments));
}
