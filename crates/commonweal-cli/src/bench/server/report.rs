//! What a scripted node reports: valid bytes that no training made, one for all nodes of a task.

use std::sync::Arc;

use commonweal_core::{
    ClientUpdate, Digest, Entropy, Extra, MetricKind, MetricSpec, MetricSums, Outcome, Payload,
    Prediction, PrepareSpec, PrepareSums, Statistic, Task, TaskKind, TrainPlan,
};

use super::error::LoadError;

/// Rows that every scripted node claims to have.
const ROWS: u32 = 6;

/// A report's bytes, shared by all nodes that send it.
pub(super) struct Report {
    /// The payload.
    pub(super) bytes: Vec<u8>,
    /// Its SHA-256.
    pub(super) digest: Digest,
}

impl Report {
    /// A report of `task` from a model of so many parameters.
    ///
    /// # Errors
    /// [`LoadError::Task`] if the task asks for what no scripted node has.
    pub(super) fn of(task: &Task, parameters: usize) -> Result<Arc<Self>, LoadError> {
        let failed = |reason: String| LoadError::Task {
            task: task.id.to_string(),
            reason,
        };
        let payload = match &task.kind {
            TaskKind::Prepare(spec) => {
                let sums = prepared(spec).map_err(failed)?;
                Payload::prepare(task.base, &sums)
            }
            TaskKind::Train(plan) => {
                let update = update(plan, parameters).map_err(failed)?;
                let entropy = Entropy::new([0; 32]);
                let payload = plan
                    .pipeline
                    .on_client(update, task.base, &task.seed, entropy);
                payload.map_err(|error| failed(error.to_string()))?
            }
            TaskKind::Evaluate(plan) => {
                Payload::metrics(task.base, &measured(&plan.metrics).map_err(failed)?)
            }
        };
        let bytes = payload.into_bytes();
        let digest = Digest::of(&bytes);
        Ok(Arc::new(Self { bytes, digest }))
    }
}

/// Values of both signs and many sizes, small enough for any number of rounds.
fn update(plan: &TrainPlan, parameters: usize) -> Result<ClientUpdate, String> {
    let value = |index: usize| ((index % 1000) as f32 - 499.5) * 1e-6;
    let weight = plan.weighting.of(ROWS.into());
    let extra = |extra: &commonweal_core::ExtraSpec| Extra {
        name: extra.name.clone(),
        values: vec![0.0; extra.len],
    };
    Ok(ClientUpdate {
        values: (0..parameters).map(value).collect(),
        weight: weight.map_err(|error| error.to_string())?,
        metrics: measured(&plan.metrics)?,
        extras: plan.pipeline.extras.iter().map(extra).collect(),
    })
}

/// Every row measured alike.
fn measured(spec: &MetricSpec) -> Result<MetricSums, String> {
    const LOSS: f64 = 0.5;
    let mut sums = spec.zero();
    if *spec == MetricSpec::loss() {
        let observed = sums.observe_losses(spec, ROWS, LOSS * f64::from(ROWS));
        return observed.map(|()| sums).map_err(|error| error.to_string());
    }
    let is_value = |kind: &MetricKind| {
        matches!(
            kind,
            MetricKind::MeanSquaredError | MetricKind::MeanAbsoluteError
        )
    };
    let outcome = match spec.kinds().iter().any(is_value) {
        true => Outcome::Value {
            target: 1.0,
            predicted: 1.5,
        },
        false => Outcome::Class {
            label: 0,
            predicted: 0,
            score: 0.5,
        },
    };
    for _ in 0..ROWS {
        let prediction = Prediction {
            loss: LOSS,
            outcome,
        };
        let observed = sums.observe(spec, prediction);
        observed.map_err(|error| error.to_string())?;
    }
    Ok(sums)
}

/// Every column with numbers around 0, or with one level.
fn prepared(spec: &PrepareSpec) -> Result<PrepareSums, String> {
    let mut sums = PrepareSums::of_client(spec, ROWS);
    for (index, column) in spec.columns.iter().enumerate() {
        for row in 0..ROWS {
            let observed = match column.statistic {
                Statistic::Moments => {
                    sums.observe_number(spec, index, if row % 2 == 0 { 1.0 } else { -1.0 })
                }
                Statistic::Levels => sums.observe_level(spec, index, "0"),
            };
            observed.map_err(|error| error.to_string())?;
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use commonweal_core::{
        ClientIndex, ClientPipeline, EvaluatePlan, Fold, LocalOptimizer, Mean, Message,
        ModelVersion, Quantizer, Rule, Seed, ServerPipeline, Stage, TaskId, Weight, Weighting,
    };

    use super::*;

    fn task(kind: TaskKind) -> Task {
        Task {
            id: TaskId {
                round: 3,
                stage: kind.stage(),
                attempt: 0,
            },
            manifest: Digest::of(b"manifest"),
            prepared: None,
            base: ModelVersion(2),
            seed: Seed::from(1),
            deadline: None,
            cohort: 3,
            kind,
        }
    }

    fn metrics() -> Arc<MetricSpec> {
        let kinds = vec![MetricKind::Loss, MetricKind::Accuracy];
        Arc::new(MetricSpec::new(kinds, 10).expect("sound"))
    }

    #[test]
    fn a_round_takes_the_report_of_a_train_task() {
        let quantizer = Quantizer::new(1.0).expect("a sound grid");
        let plan = TrainPlan {
            epochs: 1,
            steps: None,
            batch_size: None,
            optimizer: LocalOptimizer::Sgd {
                momentum: 0.0,
                nesterov: false,
                weight_decay: 0.0,
            },
            learning_rate: 0.1,
            class_weights: None,
            weighting: Weighting::Examples,
            metrics: metrics(),
            pipeline: ClientPipeline::plain(quantizer),
        };
        let report = Report::of(&task(TaskKind::Train(Arc::new(plan))), 10).expect("made");
        let server = Arc::new(ServerPipeline {
            rule: Rule::Sum(Arc::new(Mean)),
            quantizer,
            extras: Arc::new([]),
            shared_len: 10,
            metrics: metrics(),
        });
        let fold = Fold::train(server, ModelVersion(2), Weight::MAX, 1);
        let payload = Payload::from(report.bytes.clone());
        assert!(fold.verify(ClientIndex(0), payload).is_ok());
        assert_eq!(report.digest, Digest::of(&report.bytes));
    }

    #[test]
    fn the_report_of_an_evaluate_task_has_sums_that_predictions_could_give() {
        let plan = EvaluatePlan { metrics: metrics() };
        let report = Report::of(&task(TaskKind::Evaluate(Arc::new(plan))), 10).expect("made");
        let payload = Payload::from(report.bytes.clone());
        let Ok(Message::Metrics { base, sums }) = payload.parse() else {
            panic!("sums of metrics")
        };
        assert_eq!(base, ModelVersion(2));
        assert!(MetricSums::admit(&metrics(), sums).is_ok());
    }

    #[test]
    fn the_report_of_a_prepare_task_is_one() {
        let columns =
            [Statistic::Moments, Statistic::Levels].map(|statistic| commonweal_core::ColumnSpec {
                name: format!("{statistic:?}"),
                statistic,
            });
        let spec = PrepareSpec {
            columns: columns.into(),
        };
        let report = Report::of(&task(TaskKind::Prepare(Arc::new(spec))), 10).expect("made");
        let payload = Payload::from(report.bytes.clone());
        let message = payload.parse().expect("a report");
        assert_eq!(message.stage(), Stage::Prepare);
    }
}
