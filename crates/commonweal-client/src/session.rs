//! A run at this node: its data, its trainer, and the tasks of its rounds, done with the simulator's own functions.

use std::path::Path;
use std::sync::Arc;

use commonweal_core::job::{BUILT_IN_TRAINER, Job, ModelKind};
use commonweal_core::{
    ClientName, ClientRows, ClientState, Digest, Known, Layout, MetricSums, Parameters,
    ParametersError, Payload, PrepareError, Prepared, Progress, ProtectError, Purpose,
    RunSpecError, Seed, Task, TaskKind, TrainError, Trainer,
};
use commonweal_data::{ApplyError, Dataset};
use commonweal_disk::{EntropySource, NoEntropy};
use commonweal_train::{BuiltInTrainer, Model, ModelError, instruction_set};
use commonweal_wire::proto::{FailureCode, TaskFailure};
use commonweal_worker::{DataSet, WorkerData, WorkerError, WorkerTrainer, Workers};

use crate::data::{DataError, OwnData};
use crate::settings::Settings;
use crate::terms::{Terms, TermsError, admit_stage};

/// One run's data and trainer, from one task to the next.
pub(crate) struct Session {
    pub(crate) job: Job,
    pub(crate) data: OwnData,
    manifest: Digest,
    name: ClientName,
    entropy: EntropySource,
    fitted: Option<Fitted>,
}

/// The trainer, on data to which was applied what all nodes found together.
struct Fitted {
    prepared: Option<Digest>,
    dataset: Arc<Dataset>,
    model: Declared,
    trainer: Box<dyn Trainer>,
    terms: Terms,
}

/// Who says what the model is.
enum Declared {
    /// The job.
    Job(Arc<Model>),
    /// The trainer, with initial values.
    Trainer(Parameters),
}

impl Declared {
    fn layout(&self) -> &Arc<Layout> {
        match self {
            Self::Job(model) => model.layout(),
            Self::Trainer(initial) => initial.layout(),
        }
    }
}

/// What a task gives: the report, and the client state that follows if it is counted.
pub(crate) struct Done {
    pub(crate) payload: Payload,
    /// None if it stays as it is.
    pub(crate) state: Option<ClientState>,
}

/// Why a task was not done. The sentence is for the owner; the server learns a code.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The data do not serve the job.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The columns cannot be summed up.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The questions are not those of the job.
    #[error("the server asks for other sums of the data than the job that was approved")]
    OtherQuestions,
    /// The task is not one of the job.
    #[error(transparent)]
    OtherTask(#[from] TermsError),
    /// The job makes no run on these data.
    #[error(transparent)]
    RunSpec(#[from] RunSpecError),
    /// What was found is of another run.
    #[error("what all nodes found together belongs to another job")]
    OtherPrepared,
    /// What was found does not fit.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The model does not fit the data.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model's values are of another model.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// The model's values mean something else here.
    #[error(
        "the run's model has other tensors than the one that is trained here: names, shapes, scopes and their order \
         must be those that the run began with"
    )]
    OtherLayout,
    /// No such trainer.
    #[error(
        "the job asks for the trainer {name:?}: add [trainers.{name}] with `command` to node.toml"
    )]
    NoTrainer {
        /// Its name.
        name: String,
    },
    /// A model that only a trainer knows.
    #[error("the job leaves the model to a trainer and names none")]
    NoExternalModel,
    /// The trainer cannot be started, or does not answer.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// Training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The update may not leave.
    #[error(transparent)]
    Protect(#[from] ProtectError),
    /// No secret randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

impl Session {
    /// Opens the data for an approved job.
    pub(crate) fn open(
        settings: &Settings,
        job: Job,
        manifest: Digest,
        name: &ClientName,
    ) -> Result<Self, SessionError> {
        Ok(Self {
            data: OwnData::open(settings, &job, name)?,
            job,
            manifest,
            name: name.clone(),
            entropy: EntropySource::from_system()?,
            fitted: None,
        })
    }

    /// Sums up the columns that the job makes it necessary to ask for.
    pub(crate) fn prepare(&self, task: &Task) -> Result<Done, SessionError> {
        admit_stage(task)?;
        match &task.kind {
            TaskKind::Prepare(spec) if **spec == *self.data.preparation.spec() => {}
            _ => return Err(SessionError::OtherQuestions),
        }
        let (train, held_out) = (self.data.train(), self.data.held_out());
        let sums = self
            .data
            .preparation
            .contribution(&self.data.source, &train, &held_out)?;
        Ok(Done {
            payload: Payload::prepare(task.base, &sums),
            state: None,
        })
    }

    /// Whether what was found is applied already.
    pub(crate) fn is_fitted_to(&self, prepared: Option<Digest>) -> bool {
        self.fitted
            .as_ref()
            .is_some_and(|fitted| fitted.prepared == prepared)
    }

    /// Applies what all nodes found together (`None` if nothing was asked), and makes the trainer ready.
    pub(crate) fn fit(
        &mut self,
        prepared: Option<&Prepared>,
        settings: &Settings,
        folder: &Path,
    ) -> Result<(), SessionError> {
        if prepared.is_some_and(|prepared| prepared.manifest != self.manifest) {
            return Err(SessionError::OtherPrepared);
        }
        let nothing = Prepared {
            manifest: self.manifest,
            clients: 0,
            rows: 0,
            columns: Vec::new(),
        };
        self.fitted = None;
        let found = prepared.unwrap_or(&nothing);
        let dataset = Arc::new(self.data.dataset(found)?);
        let target = dataset.shape().target;
        let known = Known {
            manifest: self.manifest,
            prepared: prepared.map(Prepared::digest),
            class_rows: self.data.preparation.class_rows_of(found, target),
            instruction_set: instruction_set().to_string(),
        };
        let terms = Terms::of_job(&self.job, known, &self.name)?;
        let (trainer, model) = self.trainer(&dataset, settings, folder)?;
        self.fitted = Some(Fitted {
            prepared: prepared.map(Prepared::digest),
            dataset,
            model,
            trainer,
            terms,
        });
        Ok(())
    }

    fn trainer(
        &self,
        dataset: &Arc<Dataset>,
        settings: &Settings,
        folder: &Path,
    ) -> Result<(Box<dyn Trainer>, Declared), SessionError> {
        let is_external = matches!(self.job.model.kind, ModelKind::External);
        let model = match is_external {
            true => None,
            false => Some(Arc::new(Model::build(&self.job.model, &dataset.shape())?)),
        };
        let name = self.job.training.trainer.as_str();
        if name == BUILT_IN_TRAINER {
            let model = model.ok_or(SessionError::NoExternalModel)?;
            let trainer = BuiltInTrainer::new(Arc::clone(&model), Arc::clone(dataset));
            return Ok((Box::new(trainer), Declared::Job(model)));
        }
        let mut trainer = worker(name, settings, folder, dataset)?;
        let model = match model {
            Some(model) => Declared::Job(model),
            None => Declared::Trainer(trainer.initial(&self.initial_seed(), &mut ())?),
        };
        Ok((Box::new(trainer), model))
    }

    fn initial_seed(&self) -> Seed {
        Seed::from(self.job.seed).derive(Purpose::Initial, 0, None)
    }

    /// Names and shapes of the model's tensors, once the data are fitted.
    pub(crate) fn layout(&self) -> Option<&Arc<Layout>> {
        self.fitted.as_ref().map(|fitted| fitted.model.layout())
    }

    /// The initial model of the job's seed, once the data are fitted.
    pub(crate) fn initial(&self) -> Option<Parameters> {
        Some(match &self.fitted.as_ref()?.model {
            Declared::Job(model) => model.initial(&self.initial_seed()),
            Declared::Trainer(initial) => initial.clone(),
        })
    }

    /// Training rows of each class as was found, in the order of the classes, once the data are fitted.
    pub(crate) fn class_rows(&self, prepared: &Prepared) -> Option<Vec<u64>> {
        let target = self.fitted.as_ref()?.dataset.shape().target;
        Some(self.data.preparation.class_rows_of(prepared, target))
    }

    /// Trains or evaluates `model`, after [`Session::fit`], if the job that was approved asks for it.
    pub(crate) fn perform(
        &mut self,
        task: &Task,
        model: &Parameters,
        state: ClientState,
        progress: &mut dyn Progress,
    ) -> Result<Done, SessionError> {
        if let Some(fitted) = &self.fitted {
            fitted.terms.admit(task)?;
        }
        match &task.kind {
            TaskKind::Prepare(_) => self.prepare(task),
            TaskKind::Train(plan) => {
                let had_none = state.bytes.is_empty();
                let entropy = self.entropy.draw();
                let fitted = self.fitted.as_mut().ok_or(SessionError::OtherPrepared)?;
                let train = self.data.train();
                let rows = ClientRows {
                    client: &self.name,
                    train: &train,
                    // What the model is tested on is nothing to learn from.
                    test: &[],
                };
                let (update, state) = fitted
                    .trainer
                    .train(task, plan, rows, model, state, entropy, progress)?;
                let entropy = self.entropy.draw();
                let pipeline = &plan.pipeline;
                let payload = pipeline.on_client(update, task.base, &task.seed, entropy)?;
                let is_none = had_none && state.bytes.is_empty();
                Ok(Done {
                    payload,
                    state: (!is_none).then_some(state),
                })
            }
            TaskKind::Evaluate(plan) => {
                let sums = self.measure(task, plan, model, &state, progress)?;
                Ok(Done {
                    payload: Payload::metrics(task.base, &sums),
                    state: None,
                })
            }
        }
    }

    /// Measures `model` on the test rows.
    pub(crate) fn measure(
        &mut self,
        task: &Task,
        plan: &commonweal_core::EvaluatePlan,
        model: &Parameters,
        state: &ClientState,
        progress: &mut dyn Progress,
    ) -> Result<MetricSums, SessionError> {
        let test = self.data.test();
        let rows = ClientRows {
            client: &self.name,
            train: &[],
            test,
        };
        let fitted = self.fitted.as_mut().ok_or(SessionError::OtherPrepared)?;
        let trainer = &mut fitted.trainer;
        Ok(trainer.evaluate(task, plan, rows, model, state, progress)?)
    }

    /// The node's name.
    pub(crate) fn name(&self) -> &ClientName {
        &self.name
    }

    /// The manifest's digest.
    pub(crate) fn manifest(&self) -> Digest {
        self.manifest
    }
}

fn worker(
    name: &str,
    settings: &Settings,
    folder: &Path,
    dataset: &Arc<Dataset>,
) -> Result<WorkerTrainer, SessionError> {
    let none = || SessionError::NoTrainer {
        name: name.to_owned(),
    };
    let mut spec = settings.trainers.get(name).cloned().ok_or_else(none)?;
    let threads = settings.threads.to_string();
    spec.environment
        .entry("OMP_NUM_THREADS".to_owned())
        .or_insert(threads);
    let trainer = name.to_owned();
    // A trainer may print rows: whoever looks for its faults asks for its lines.
    let lines = Arc::new(move |line: &str| tracing::debug!(trainer, "{line}"));
    let data: Arc<dyn DataSet> = Arc::new(WorkerData::new(Arc::clone(dataset)));
    let workers = Workers::new(name, spec, folder, lines, Some(data))?;
    let trainers = workers.trainers()?;
    trainers.into_iter().next().ok_or_else(none)
}

impl SessionError {
    /// All that the server learns.
    pub(crate) fn failure(&self) -> TaskFailure {
        let (code, step, index) = match self {
            Self::Data(_) | Self::Apply(_) | Self::Prepare(_) => (FailureCode::Data, 0, 0),
            Self::OtherQuestions | Self::OtherTask(_) => (FailureCode::Unsupported, 0, 0),
            Self::OtherPrepared | Self::Model(_) | Self::RunSpec(_) | Self::Parameters(_) => {
                (FailureCode::Model, 0, 0)
            }
            Self::OtherLayout => (FailureCode::Layout, 0, 0),
            Self::NoTrainer { .. } | Self::NoExternalModel | Self::Worker(_) => {
                (FailureCode::Trainer, 0, 0)
            }
            Self::Train(error) => of_training(error),
            Self::Protect(ProtectError::NonFinite { index }) => {
                (FailureCode::Diverged, 0, *index as u64)
            }
            Self::Protect(ProtectError::TooLarge { index, .. }) => {
                (FailureCode::OutOfRange, 0, *index as u64)
            }
            Self::Protect(_) => (FailureCode::OutOfRange, 0, 0),
            Self::Entropy(_) => (FailureCode::Unsupported, 0, 0),
        };
        TaskFailure {
            code: code.into(),
            step,
            index,
        }
    }

    /// Whether the trainer is of no more use.
    pub(crate) fn is_trainer_lost(&self) -> bool {
        matches!(
            self,
            Self::Train(TrainError::TrainerLost { .. }) | Self::Worker(_)
        )
    }
}

fn of_training(error: &TrainError) -> (FailureCode, u64, u64) {
    match error {
        TrainError::Diverged { step } => (FailureCode::Diverged, *step, 0),
        TrainError::NoRows => (FailureCode::NoRows, 0, 0),
        TrainError::Cancelled => (FailureCode::Cancelled, 0, 0),
        TrainError::Weight(_) => (FailureCode::OutOfRange, 0, 0),
        TrainError::Metric(_) => (FailureCode::Diverged, 0, 0),
        TrainError::Unsupported { .. } => (FailureCode::Unsupported, 0, 0),
        TrainError::State { .. } => (FailureCode::State, 0, 0),
        TrainError::Worker { .. } | TrainError::TrainerLost { .. } => (FailureCode::Trainer, 0, 0),
    }
}
