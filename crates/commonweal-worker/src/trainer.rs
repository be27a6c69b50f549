//! Core's `Trainer`, done by a worker process.

use std::sync::Arc;

use commonweal_core::{
    ClientRows, ClientState, ClientUpdate, Entropy, EvaluatePlan, Layout, MetricSpec, MetricSums,
    Parameters, Progress, Seed, Task, TrainError, TrainPlan, Trainer,
};

use crate::body::{self, BodyError, STATE_VERSION};
use crate::error::WorkerError;
use crate::message::{Reply, Request, Subject, hexadecimal};
use crate::pool::Workers;
use crate::worker::{Answer, Question, Worker};

/// Trains and evaluates clients in one worker process, which stays alive from client to client.
///
/// A process that crashes or hangs costs one client its round; the next client gets a new process. Equal
/// arguments give equal bytes as far as the user's code does so: the worker gets the task's derived
/// seed. Secret randomness is not handed to it; what is secret happens after training, in the pipeline.
#[derive(Debug)]
pub struct WorkerTrainer {
    workers: Arc<Workers>,
    worker: Worker,
}

/// Bytes accepted beyond what the model needs: names, shapes and a small state.
const SLACK_BYTES: u64 = 64 << 20;

/// Bytes of the largest measurement: 36 million predictions.
const METRICS_BYTES: u64 = 1 << 30;

impl WorkerTrainer {
    /// Starts the process of one slot; it loads while others do.
    pub(crate) fn start(workers: Arc<Workers>, slot: u32) -> Result<Self, WorkerError> {
        let worker = Worker::start(Arc::clone(&workers), slot)?;
        Ok(Self { workers, worker })
    }

    /// The layout and initial values of a model that the worker itself declares
    /// (`model.kind = "external"`).
    ///
    /// # Errors
    /// [`WorkerError`] if the worker cannot, or what it declares is no model.
    pub fn initial(
        &mut self,
        seed: &Seed,
        progress: &mut dyn Progress,
    ) -> Result<Parameters, WorkerError> {
        let question = Question {
            capability: "initial",
            doing: "making the initial model".into(),
            request: &|id| Request::Initial {
                id,
                seed: hexadecimal(seed.as_bytes()),
            },
            body: Vec::new(),
            answer_limit_bytes: 8 * Layout::MAX_LEN as u64 + SLACK_BYTES,
        };
        let place = self.worker.place(&question.doing);
        match self.worker.ask(question, progress)? {
            Answer {
                reply: Reply::Initial { tensors, .. },
                body,
            } => body::initial(tensors, &body).map_err(|why| WorkerError::Body { place, why }),
            Answer { reply, .. } => Err(WorkerError::unexpected(place, &reply)),
        }
    }

    fn ask_update(
        &mut self,
        question: Question<'_>,
        layout: &Layout,
        metrics: &MetricSpec,
        progress: &mut dyn Progress,
    ) -> Result<(Vec<f32>, ClientState, MetricSums), WorkerError> {
        let place = self.worker.place(&question.doing);
        let (steps, examples, loss, body) = match self.worker.ask(question, progress)? {
            Answer {
                reply:
                    Reply::Update {
                        steps,
                        examples,
                        loss,
                        ..
                    },
                body,
            } => (steps, examples, loss, body),
            Answer { reply, .. } => return Err(WorkerError::unexpected(place, &reply)),
        };
        let admitted = body::update(layout, &body).and_then(|(values, state)| {
            let mut sums = metrics.zero();
            if examples > 0 {
                sums.observe_losses(metrics, examples, loss * f64::from(examples))?;
            }
            Ok((values, state, sums))
        });
        admitted.map_err(|why| match why {
            BodyError::NotFinite { .. } => WorkerError::Diverged { place, step: steps },
            why => WorkerError::Body { place, why },
        })
    }

    fn ask_metrics(
        &mut self,
        question: Question<'_>,
        metrics: &MetricSpec,
        progress: &mut dyn Progress,
    ) -> Result<MetricSums, WorkerError> {
        let place = self.worker.place(&question.doing);
        match self.worker.ask(question, progress)? {
            Answer {
                reply: Reply::Metrics { .. },
                body,
            } => body::metrics(metrics, &body).map_err(|why| WorkerError::Body { place, why }),
            Answer { reply, .. } => Err(WorkerError::unexpected(place, &reply)),
        }
    }

    /// Counts successes and failures: a worker that fails at everything ends the run.
    fn judge<T>(&self, result: Result<T, WorkerError>) -> Result<T, TrainError> {
        match result {
            Ok(value) => {
                self.workers.succeeded();
                Ok(value)
            }
            Err(error) if error.is_the_workers_fault() && self.workers.failed() => {
                Err(TrainError::TrainerLost {
                    what: format!(
                        "{error}\nThe trainer failed {} times in a row",
                        Workers::LAST_FAILURE
                    ),
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Trainer for WorkerTrainer {
    fn train(
        &mut self,
        task: &Task,
        plan: &TrainPlan,
        data: ClientRows<'_>,
        model: &Parameters,
        state: ClientState,
        _entropy: Entropy,
        progress: &mut dyn Progress,
    ) -> Result<(ClientUpdate, ClientState), TrainError> {
        if data.train.is_empty() {
            return Err(TrainError::NoRows);
        }
        let weight = plan.weighting.of(data.train.len() as u64)?;
        let doing = format!("training client {}", data.client);
        let rows = [("rows.train", data.train), ("rows.test", data.test)];
        let class_weights = plan.class_weights.as_deref();
        let question = Question {
            capability: "train",
            request: &|id| Request::Train {
                id,
                subject: subject(task, data, &plan.metrics),
                epochs: plan.epochs,
                steps: plan.steps,
                batch_size: plan.batch_size,
                learning_rate: plan.learning_rate,
                optimizer: plan.optimizer,
            },
            body: request_body(&rows, class_weights, model, &state)?,
            doing,
            answer_limit_bytes: 16 * model.layout().len() as u64 + SLACK_BYTES,
        };
        let result = self.ask_update(question, model.layout(), &plan.metrics, progress);
        let (mut values, state, metrics) = self.judge(result)?;
        for (value, global) in values.iter_mut().zip(model.shared()) {
            *value -= global;
        }
        let extras = Vec::new();
        Ok((
            ClientUpdate {
                values,
                weight,
                metrics,
                extras,
            },
            state,
        ))
    }

    fn evaluate(
        &mut self,
        task: &Task,
        plan: &EvaluatePlan,
        data: ClientRows<'_>,
        model: &Parameters,
        state: &ClientState,
        progress: &mut dyn Progress,
    ) -> Result<MetricSums, TrainError> {
        let rows = data.test;
        if rows.is_empty() {
            return Ok(plan.metrics.zero());
        }
        let question = Question {
            capability: "evaluate",
            doing: format!("evaluating client {}", data.client),
            request: &|id| Request::Evaluate {
                id,
                subject: subject(task, data, &plan.metrics),
            },
            body: request_body(&[("rows.test", rows)], None, model, state)?,
            answer_limit_bytes: METRICS_BYTES,
        };
        let result = self.ask_metrics(question, &plan.metrics, progress);
        self.judge(result)
    }
}

fn subject<'a>(task: &Task, data: ClientRows<'a>, metrics: &'a MetricSpec) -> Subject<'a> {
    Subject {
        task: task.id.to_string(),
        round: task.id.round,
        client: data.client.as_str(),
        seed: hexadecimal(task.seed.as_bytes()),
        metrics: metrics.kinds(),
        classes: metrics.classes(),
    }
}

fn request_body(
    rows: &[(&str, &[u32])],
    class_weights: Option<&[f32]>,
    model: &Parameters,
    state: &ClientState,
) -> Result<Vec<u8>, TrainError> {
    let unreadable = TrainError::State {
        expected: STATE_VERSION,
        found: state.version,
    };
    if !state.bytes.is_empty() && state.version != STATE_VERSION {
        return Err(unreadable);
    }
    body::request(rows, class_weights, model, state).map_err(|_| unreadable)
}
