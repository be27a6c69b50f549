//! Who trains: the built-in models, worker processes, or a trainer of the caller's own.

use std::path::Path;
use std::sync::Arc;

use commonweal_core::job::{BUILT_IN_TRAINER, Job, ModelKind};
use commonweal_core::{Layout, Parameters, Purpose, Seed, Trainer};
use commonweal_data::{Dataset, ExampleShape};
use commonweal_train::{BuiltInTrainer, Model};
use commonweal_worker::{DataSet, WorkerTrainer, Workers};

use crate::crew::{Crew, Slot};
use crate::environment::Environment;
use crate::error::SimulationError;
use crate::federation::Federation;
use commonweal_disk::folder::RunFolder;
use commonweal_disk::model_file::{load_model, save_model};
use commonweal_worker::WorkerData;

/// A trainer of the caller's own, in Rust.
pub(crate) struct OwnTrainer {
    pub(crate) make: MakeTrainer,
    pub(crate) initial: Option<MakeInitial>,
}

/// Makes a thread's trainer for a data set.
pub type MakeTrainer = Box<dyn Fn(&Arc<Dataset>) -> Box<dyn Trainer> + Send + Sync>;

/// Makes the initial model of `model.kind = "external"` from a seed, for examples of this shape.
pub type MakeInitial = Box<dyn Fn(&Seed, &ExampleShape) -> Parameters + Send + Sync>;

/// The threads of a run, and the model that it begins with.
pub(crate) struct Start {
    pub(crate) crew: Crew<Slot>,
    pub(crate) initial: Parameters,
}

impl Start {
    /// Starts what the job names. A model that the job takes from a file is kept in `folder`, so that the run
    /// goes on from the same one whatever becomes of the file.
    pub(crate) fn of(
        federation: &Federation,
        own: Option<&OwnTrainer>,
        environment: &Environment,
        folder: Option<&RunFolder>,
    ) -> Result<Self, SimulationError> {
        let name = federation.job.training.trainer.as_str();
        let (trainers, initial) = match own {
            Some(own) => own_trainers(federation, own, environment)?,
            None if name == BUILT_IN_TRAINER => built_in(federation, environment)?,
            None => workers(federation, environment)?,
        };
        let initial = match &federation.job.model.init {
            Some(path) => load_initial(
                &environment.places.base.join(path),
                initial.layout(),
                folder,
            )?,
            None => initial,
        };
        Ok(Self {
            crew: Crew::trainers(trainers)?,
            initial,
        })
    }
}

fn load_initial(
    path: &Path,
    layout: &Arc<Layout>,
    folder: Option<&RunFolder>,
) -> Result<Parameters, SimulationError> {
    let Some(folder) = folder else {
        return Ok(load_model(path, layout)?);
    };
    let kept = folder.initial();
    if kept.is_file() {
        return Ok(load_model(&kept, layout)?);
    }
    let initial = load_model(path, layout)?;
    folder.ensure()?;
    save_model(&kept, &initial)?;
    Ok(initial)
}

type Trainers = Vec<Box<dyn Trainer>>;

fn built_in(
    federation: &Federation,
    environment: &Environment,
) -> Result<(Trainers, Parameters), SimulationError> {
    let model = Arc::new(model(federation)?);
    let initial = model.initial(&initial_seed(federation));
    let trainer = || BuiltInTrainer::new(Arc::clone(&model), Arc::clone(&federation.data));
    let threads = environment.threads(federation.job.simulation.threads);
    let trainers = (0..threads)
        .map(|_| Box::new(trainer()) as Box<dyn Trainer>)
        .collect();
    Ok((trainers, initial))
}

fn own_trainers(
    federation: &Federation,
    own: &OwnTrainer,
    environment: &Environment,
) -> Result<(Trainers, Parameters), SimulationError> {
    let seed = initial_seed(federation);
    let initial = match &own.initial {
        Some(initial) => initial(&seed, &federation.data.shape()),
        None => model(federation)?.initial(&seed),
    };
    let threads = environment.threads(federation.job.simulation.threads);
    let trainers = (0..threads).map(|_| (own.make)(&federation.data)).collect();
    Ok((trainers, initial))
}

fn workers(
    federation: &Federation,
    environment: &Environment,
) -> Result<(Trainers, Parameters), SimulationError> {
    let job = &federation.job;
    let data: Arc<dyn DataSet> = Arc::new(WorkerData::new(Arc::clone(&federation.data)));
    let mut trainers = start_workers(job, environment, Some(data))?;
    let seed = initial_seed(federation);
    let initial = match job.model.kind {
        ModelKind::External => initial_of_worker(job, &mut trainers, &seed)?,
        _ => model(federation)?.initial(&seed),
    };
    let trainers = trainers
        .into_iter()
        .map(|trainer| Box::new(trainer) as Box<dyn Trainer>)
        .collect();
    Ok((trainers, initial))
}

/// Starts the processes of the trainer that the job names.
pub(crate) fn start_workers(
    job: &Job,
    environment: &Environment,
    data: Option<Arc<dyn DataSet>>,
) -> Result<Vec<WorkerTrainer>, SimulationError> {
    let name = job.training.trainer.as_str();
    let spec = job.simulation.trainers.get(name).cloned();
    let spec = spec.ok_or_else(|| unknown_trainer(job))?;
    let (base, lines) = (&environment.places.base, Arc::clone(&environment.lines));
    let workers = Workers::new(name, spec, base, lines, data)?;
    Ok(workers.trainers()?)
}

/// The model that the job's trainer declares.
pub(crate) fn initial_of_worker(
    job: &Job,
    trainers: &mut [WorkerTrainer],
    seed: &Seed,
) -> Result<Parameters, SimulationError> {
    let trainer = trainers.first_mut().ok_or_else(|| unknown_trainer(job))?;
    Ok(trainer.initial(seed, &mut ())?)
}

fn unknown_trainer(job: &Job) -> SimulationError {
    SimulationError::UnknownTrainer {
        trainer: job.training.trainer.clone(),
    }
}

/// The job's built-in model for these data.
pub(crate) fn model(federation: &Federation) -> Result<Model, SimulationError> {
    match federation.job.model.kind {
        ModelKind::External => Err(SimulationError::NoExternalModel),
        _ => Ok(Model::build(
            &federation.job.model,
            &federation.data.shape(),
        )?),
    }
}

fn initial_seed(federation: &Federation) -> Seed {
    federation.seed().derive(Purpose::Initial, 0, None)
}
