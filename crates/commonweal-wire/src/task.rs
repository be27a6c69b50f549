//! Tasks as messages: one pair of conversions for each part.

use std::sync::Arc;

use commonweal_core::{
    ClientPipeline, ClippingNorm, ColumnSpec, Digest, EvaluatePlan, ExtraSpec, LocalOptimizer,
    MetricKind, MetricSpec, ModelVersion, PrepareSpec, Quantizer, Seed, Stage, Statistic, Task,
    TaskId, TaskKind, Time, TrainPlan, Weight, Weighting,
};

use crate::proto;

/// Why a message is no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task's {field} is missing or out of range: is the server of another version?")]
pub struct TaskError {
    /// Its field.
    pub field: &'static str,
}

const fn wrong(field: &'static str) -> TaskError {
    TaskError { field }
}

/// The message of a task, with the time left for it.
#[must_use]
pub fn task_of(task: &Task, remaining_ms: Option<u64>) -> proto::Task {
    proto::Task {
        id: Some(task_id(task.id)),
        manifest: task.manifest.as_bytes().to_vec(),
        prepared: task.prepared.map(|digest| digest.as_bytes().to_vec()),
        base: task.base.0,
        seed: task.seed.as_bytes().to_vec(),
        remaining_ms,
        cohort: task.cohort,
        kind: Some(kind_of(&task.kind)),
    }
}

/// The time left until `task` is due.
#[must_use]
pub fn remaining_ms(task: &Task, now: Time) -> Option<u64> {
    task.deadline
        .map(|deadline| deadline.ms.saturating_sub(now.ms))
}

/// The task of a message that arrived at `now`, on the clock that its deadline will be on.
///
/// # Errors
/// [`TaskError`].
pub fn to_task(message: &proto::Task, now: Time) -> Result<Task, TaskError> {
    Ok(Task {
        id: to_task_id(message.id.as_ref())?,
        manifest: digest(&message.manifest, "manifest")?,
        prepared: match &message.prepared {
            Some(bytes) => Some(digest(bytes, "prepared")?),
            None => None,
        },
        base: ModelVersion(message.base),
        seed: Seed::from_bytes(array(&message.seed, "seed")?),
        deadline: message.remaining_ms.map(|ms| now.after_ms(ms)),
        cohort: message.cohort,
        kind: to_kind(message.kind.as_ref().ok_or(wrong("kind"))?)?,
    })
}

/// The message of a task's name.
#[must_use]
pub fn task_id(id: TaskId) -> proto::TaskId {
    let stage = match id.stage {
        Stage::Prepare => proto::Stage::Prepare,
        Stage::Train => proto::Stage::Train,
        Stage::Evaluate => proto::Stage::Evaluate,
    };
    proto::TaskId {
        round: id.round,
        stage: stage.into(),
        attempt: id.attempt,
    }
}

/// The name in a message.
///
/// # Errors
/// [`TaskError`].
pub fn to_task_id(message: Option<&proto::TaskId>) -> Result<TaskId, TaskError> {
    let message = message.ok_or(wrong("id"))?;
    let stage = match message.stage() {
        proto::Stage::Prepare => Stage::Prepare,
        proto::Stage::Train => Stage::Train,
        proto::Stage::Evaluate => Stage::Evaluate,
        proto::Stage::Unspecified => return Err(wrong("stage")),
    };
    Ok(TaskId {
        round: message.round,
        stage,
        attempt: message.attempt,
    })
}

fn kind_of(kind: &TaskKind) -> proto::task::Kind {
    match kind {
        TaskKind::Prepare(spec) => proto::task::Kind::Prepare(prepare_of(spec)),
        TaskKind::Train(plan) => proto::task::Kind::Train(train_of(plan)),
        TaskKind::Evaluate(plan) => proto::task::Kind::Evaluate(proto::EvaluatePlan {
            metrics: Some(metrics_of(&plan.metrics)),
        }),
    }
}

fn to_kind(message: &proto::task::Kind) -> Result<TaskKind, TaskError> {
    Ok(match message {
        proto::task::Kind::Prepare(plan) => TaskKind::Prepare(Arc::new(to_prepare(plan)?)),
        proto::task::Kind::Train(plan) => TaskKind::Train(Arc::new(to_train(plan)?)),
        proto::task::Kind::Evaluate(plan) => TaskKind::Evaluate(Arc::new(EvaluatePlan {
            metrics: to_metrics(plan.metrics.as_ref())?,
        })),
    })
}

fn prepare_of(spec: &PrepareSpec) -> proto::PreparePlan {
    let columns = spec.columns.iter().map(|column| {
        let statistic = match column.statistic {
            Statistic::Moments => proto::Statistic::Moments,
            Statistic::Levels => proto::Statistic::Levels,
        };
        proto::PrepareColumn {
            name: column.name.clone(),
            statistic: statistic.into(),
        }
    });
    proto::PreparePlan {
        columns: columns.collect(),
    }
}

fn to_prepare(plan: &proto::PreparePlan) -> Result<PrepareSpec, TaskError> {
    let columns = plan.columns.iter().map(|column| {
        let statistic = match column.statistic() {
            proto::Statistic::Moments => Statistic::Moments,
            proto::Statistic::Levels => Statistic::Levels,
            proto::Statistic::Unspecified => return Err(wrong("statistic")),
        };
        Ok(ColumnSpec {
            name: column.name.clone(),
            statistic,
        })
    });
    Ok(PrepareSpec {
        columns: columns.collect::<Result<_, _>>()?,
    })
}

fn train_of(plan: &TrainPlan) -> proto::TrainPlan {
    let weights = plan.class_weights.as_deref().unwrap_or_default();
    let weighting = match plan.weighting {
        Weighting::Examples => proto::Weighting::Examples,
        Weighting::Uniform => proto::Weighting::Uniform,
    };
    proto::TrainPlan {
        epochs: plan.epochs,
        steps: plan.steps,
        batch_size: plan.batch_size,
        learning_rate: plan.learning_rate,
        class_weights: weights.to_vec(),
        weighting: weighting.into(),
        metrics: Some(metrics_of(&plan.metrics)),
        pipeline: Some(pipeline_of(&plan.pipeline)),
        optimizer: Some(optimizer_of(&plan.optimizer)),
    }
}

fn to_train(plan: &proto::TrainPlan) -> Result<TrainPlan, TaskError> {
    let finite = |value: f32| value.is_finite();
    if !finite(plan.learning_rate) || !plan.class_weights.iter().copied().all(finite) {
        return Err(wrong("learning rate"));
    }
    let weights = (!plan.class_weights.is_empty()).then(|| plan.class_weights.as_slice().into());
    let weighting = match plan.weighting() {
        proto::Weighting::Examples => Weighting::Examples,
        proto::Weighting::Uniform => Weighting::Uniform,
        proto::Weighting::Unspecified => return Err(wrong("weighting")),
    };
    Ok(TrainPlan {
        epochs: plan.epochs,
        steps: plan.steps,
        batch_size: plan.batch_size,
        optimizer: to_optimizer(plan.optimizer.as_ref().ok_or(wrong("optimizer"))?),
        learning_rate: plan.learning_rate,
        class_weights: weights,
        weighting,
        metrics: to_metrics(plan.metrics.as_ref())?,
        pipeline: to_pipeline(plan.pipeline.as_ref().ok_or(wrong("pipeline"))?)?,
    })
}

fn optimizer_of(optimizer: &LocalOptimizer) -> proto::train_plan::Optimizer {
    use proto::train_plan::Optimizer;
    match *optimizer {
        LocalOptimizer::Sgd {
            momentum,
            nesterov,
            weight_decay,
        } => Optimizer::Sgd(proto::Sgd {
            momentum,
            nesterov,
            weight_decay,
        }),
        LocalOptimizer::Adam {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            decoupled,
        } => Optimizer::Adam(proto::Adam {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            decoupled,
        }),
        LocalOptimizer::Adagrad {
            epsilon,
            weight_decay,
        } => Optimizer::Adagrad(proto::Adagrad {
            epsilon,
            weight_decay,
        }),
    }
}

fn to_optimizer(message: &proto::train_plan::Optimizer) -> LocalOptimizer {
    use proto::train_plan::Optimizer;
    match message {
        Optimizer::Sgd(sgd) => LocalOptimizer::Sgd {
            momentum: sgd.momentum,
            nesterov: sgd.nesterov,
            weight_decay: sgd.weight_decay,
        },
        Optimizer::Adam(adam) => LocalOptimizer::Adam {
            beta1: adam.beta1,
            beta2: adam.beta2,
            epsilon: adam.epsilon,
            weight_decay: adam.weight_decay,
            decoupled: adam.decoupled,
        },
        Optimizer::Adagrad(adagrad) => LocalOptimizer::Adagrad {
            epsilon: adagrad.epsilon,
            weight_decay: adagrad.weight_decay,
        },
    }
}

fn pipeline_of(pipeline: &ClientPipeline) -> proto::Pipeline {
    let extras = pipeline.extras.iter().map(|extra| proto::Extra {
        name: extra.name.clone(),
        len: extra.len as u64,
        max_abs: extra.quantizer.max_abs(),
    });
    proto::Pipeline {
        clip: pipeline.clip.map(ClippingNorm::value),
        max_abs: pipeline.quantizer.max_abs(),
        extras: extras.collect(),
        largest_weight: pipeline.largest_weight.value(),
    }
}

fn to_pipeline(message: &proto::Pipeline) -> Result<ClientPipeline, TaskError> {
    let quantizer = |max_abs| Quantizer::new(max_abs).map_err(|_| wrong("grid"));
    let extras = message.extras.iter().map(|extra| {
        Ok(ExtraSpec {
            name: extra.name.clone(),
            len: usize::try_from(extra.len).map_err(|_| wrong("extra vector"))?,
            quantizer: quantizer(extra.max_abs)?,
        })
    });
    let clip = message.clip.map(ClippingNorm::try_from).transpose();
    let weight = Weight::try_from(u64::from(message.largest_weight));
    Ok(ClientPipeline {
        clip: clip.map_err(|_| wrong("clipping norm"))?,
        quantizer: quantizer(message.max_abs)?,
        extras: extras.collect::<Result<_, TaskError>>()?,
        largest_weight: weight.map_err(|_| wrong("largest weight"))?,
    })
}

/// Every metric with its number in a message.
const METRICS: [(MetricKind, proto::Metric); 7] = [
    (MetricKind::Loss, proto::Metric::Loss),
    (MetricKind::Accuracy, proto::Metric::Accuracy),
    (MetricKind::MacroF1, proto::Metric::MacroF1),
    (MetricKind::RocAuc, proto::Metric::RocAuc),
    (MetricKind::Perplexity, proto::Metric::Perplexity),
    (
        MetricKind::MeanSquaredError,
        proto::Metric::MeanSquaredError,
    ),
    (
        MetricKind::MeanAbsoluteError,
        proto::Metric::MeanAbsoluteError,
    ),
];

fn metrics_of(spec: &MetricSpec) -> proto::Metrics {
    let number = |kind: &MetricKind| {
        let found = METRICS.iter().find(|(one, _)| one == kind);
        found.map(|&(_, number)| number.into())
    };
    proto::Metrics {
        kinds: spec.kinds().iter().filter_map(number).collect(),
        classes: spec.classes(),
    }
}

fn to_metrics(message: Option<&proto::Metrics>) -> Result<Arc<MetricSpec>, TaskError> {
    let message = message.ok_or(wrong("metrics"))?;
    let kind = |number| {
        let found = METRICS.iter().find(|&&(_, one)| one == number);
        found.map(|&(kind, _)| kind).ok_or(wrong("metrics"))
    };
    let kinds = message.kinds().map(kind).collect::<Result<_, _>>()?;
    let spec = MetricSpec::new(kinds, message.classes).map_err(|_| wrong("metrics"))?;
    Ok(Arc::new(spec))
}

fn digest(bytes: &[u8], field: &'static str) -> Result<Digest, TaskError> {
    array(bytes, field).map(Digest::from_bytes)
}

fn array(bytes: &[u8], field: &'static str) -> Result<[u8; 32], TaskError> {
    bytes.try_into().map_err(|_| wrong(field))
}
