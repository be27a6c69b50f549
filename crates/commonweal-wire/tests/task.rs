//! A task that crosses the wire is the same task.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use commonweal_core::{
    ClientPipeline, ClippingNorm, ColumnSpec, Digest, EvaluatePlan, ExtraSpec, LocalOptimizer,
    MetricKind, MetricSpec, ModelVersion, PrepareSpec, Quantizer, Seed, Stage, Statistic, Task,
    TaskId, TaskKind, Time, TrainPlan, Weight, Weighting,
};
use commonweal_wire::{TaskError, proto, read, remaining_ms, task_of, to_task};
use proptest::prelude::*;
use prost::Message as _;

fn optimizer() -> impl Strategy<Value = LocalOptimizer> {
    prop_oneof![
        (0.0_f32..1.0, any::<bool>(), 0.0_f32..1.0).prop_map(
            |(momentum, nesterov, weight_decay)| LocalOptimizer::Sgd {
                momentum,
                nesterov,
                weight_decay
            }
        ),
        (0.0_f32..1.0, 0.0_f32..1.0, any::<bool>()).prop_map(|(beta1, weight_decay, decoupled)| {
            LocalOptimizer::Adam {
                beta1,
                beta2: 0.999,
                epsilon: 1e-8,
                weight_decay,
                decoupled,
            }
        }),
        (0.0_f32..1.0).prop_map(|weight_decay| LocalOptimizer::Adagrad {
            epsilon: 1e-10,
            weight_decay
        }),
    ]
}

fn pipeline() -> impl Strategy<Value = ClientPipeline> {
    (
        prop::option::of(1e-6_f64..1e6),
        1e-6_f64..1e6,
        prop::collection::vec(("[a-z]{1,9}", 0_usize..1 << 40, 1e-3_f64..1e3), 0..3),
        1_u64..1 << 20,
    )
        .prop_map(|(clip, max_abs, extras, weight)| ClientPipeline {
            clip: clip.map(|norm| ClippingNorm::try_from(norm).unwrap()),
            quantizer: Quantizer::new(max_abs).unwrap(),
            extras: extras
                .into_iter()
                .map(|(name, len, max_abs)| ExtraSpec {
                    name,
                    len,
                    quantizer: Quantizer::new(max_abs).unwrap(),
                })
                .collect(),
            largest_weight: Weight::try_from(weight).unwrap(),
        })
}

fn metrics() -> impl Strategy<Value = Arc<MetricSpec>> {
    let spec = |kinds: &[MetricKind], classes| MetricSpec::new(kinds.to_vec(), classes).unwrap();
    prop_oneof![
        Just(MetricSpec::loss()),
        Just(spec(
            &[MetricKind::RocAuc, MetricKind::Accuracy, MetricKind::Loss],
            2
        )),
        Just(spec(&[MetricKind::MacroF1, MetricKind::Perplexity], 9)),
        Just(spec(
            &[MetricKind::MeanSquaredError, MetricKind::MeanAbsoluteError],
            0
        )),
    ]
    .prop_map(Arc::new)
}

fn train() -> impl Strategy<Value = TrainPlan> {
    (
        (any::<u32>(), any::<Option<u32>>(), any::<Option<u32>>()),
        optimizer(),
        1e-9_f32..1e9,
        prop::collection::vec(0.0_f32..10.0, 0..5),
        any::<bool>(),
        metrics(),
        pipeline(),
    )
        .prop_map(
            |(
                (epochs, steps, batch_size),
                optimizer,
                learning_rate,
                weights,
                is_uniform,
                metrics,
                pipeline,
            )| TrainPlan {
                epochs,
                steps,
                batch_size,
                optimizer,
                learning_rate,
                class_weights: (!weights.is_empty()).then(|| weights.into()),
                weighting: match is_uniform {
                    true => Weighting::Uniform,
                    false => Weighting::Examples,
                },
                metrics,
                pipeline,
            },
        )
}

fn prepare() -> impl Strategy<Value = PrepareSpec> {
    let column = (".{0,9}", any::<bool>()).prop_map(|(name, is_moments)| ColumnSpec {
        name,
        statistic: match is_moments {
            true => Statistic::Moments,
            false => Statistic::Levels,
        },
    });
    prop::collection::vec(column, 0..5).prop_map(|columns| PrepareSpec { columns })
}

fn task() -> impl Strategy<Value = Task> {
    let kind = prop_oneof![
        prepare().prop_map(|spec| TaskKind::Prepare(Arc::new(spec))),
        train().prop_map(|plan| TaskKind::Train(Arc::new(plan))),
        metrics().prop_map(|metrics| TaskKind::Evaluate(Arc::new(EvaluatePlan { metrics }))),
    ];
    (
        any::<(u64, u32, u64, u32)>(),
        any::<[u8; 32]>(),
        any::<Option<[u8; 32]>>(),
        kind,
    )
        .prop_map(
            |((round, attempt, base, cohort), bytes, prepared, kind)| Task {
                id: TaskId {
                    round,
                    stage: kind.stage(),
                    attempt,
                },
                manifest: Digest::from_bytes(bytes),
                prepared: prepared.map(Digest::from_bytes),
                base: ModelVersion(base),
                seed: Seed::from_bytes(bytes),
                deadline: None,
                cohort,
                kind,
            },
        )
}

proptest! {
    #[test]
    fn a_task_is_the_same_at_the_other_end(task in task()) {
        let bytes = task_of(&task, None).encode_to_vec();
        let message: proto::Task = read(&bytes).unwrap();
        prop_assert_eq!(to_task(&message, Time::START), Ok(task));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = read::<proto::Task>(&bytes) {
            let _ = to_task(&message, Time::START);
        }
    }

    #[test]
    fn a_task_that_breaks_off_is_another_or_none(task in task(), cut in any::<prop::sample::Index>()) {
        let bytes = task_of(&task, None).encode_to_vec();
        let shorter = &bytes[..cut.index(bytes.len())];
        let read = read::<proto::Task>(shorter).ok();
        let same = read.and_then(|message| to_task(&message, Time::START).ok());
        prop_assert_ne!(same, Some(task));
    }
}

#[test]
fn a_deadline_travels_as_the_time_that_is_left() {
    let (here, there) = (Time { ms: 5_000 }, Time { ms: 70 });
    let task = Task {
        id: TaskId {
            round: 0,
            stage: Stage::Evaluate,
            attempt: 0,
        },
        manifest: Digest::of(b""),
        prepared: None,
        base: ModelVersion(0),
        seed: Seed::from(1),
        deadline: Some(here.after_ms(300)),
        cohort: 3,
        kind: TaskKind::Evaluate(Arc::new(EvaluatePlan {
            metrics: Arc::new(MetricSpec::loss()),
        })),
    };
    let message = task_of(&task, remaining_ms(&task, here));
    let arrived = to_task(&message, there).unwrap();
    assert_eq!(arrived.deadline, Some(Time { ms: 370 }));
}

#[test]
fn a_message_without_a_part_names_it() {
    let whole = proto::Task {
        id: Some(proto::TaskId {
            round: 1,
            stage: proto::Stage::Evaluate.into(),
            attempt: 0,
        }),
        manifest: vec![0; 32],
        seed: vec![0; 32],
        ..proto::Task::default()
    };
    let refused = |message: &proto::Task| to_task(message, Time::START).unwrap_err();
    assert_eq!(refused(&whole), TaskError { field: "kind" });
    let mut message = whole.clone();
    message.seed.pop();
    assert_eq!(refused(&message), TaskError { field: "seed" });
    message.id = None;
    assert_eq!(refused(&message), TaskError { field: "id" });
}
