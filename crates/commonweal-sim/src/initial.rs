//! The model that a simulation of a job would begin with: what a deployment of it is given, which runs no trainer itself.

use std::sync::Arc;

use commonweal_core::job::Job;
use commonweal_core::{Parameters, Purpose, Seed};
use commonweal_disk::file::FileError;
use commonweal_disk::model_file::load_model;
use commonweal_disk::{SourceError, complete, read_source};
use commonweal_worker::{DataSet, WorkerData};

use crate::environment::Environment;
use crate::error::SimulationError;
use crate::federation::Federation;
use crate::trainers::{initial_of_worker, start_workers};

/// The initial model of a job of `model.kind = "external"`, of its first seed: the trainer's process is started as
/// for a simulation and declares it, with the job's own values where `model.init` names a file.
///
/// The data are read as for a simulation. Where they are not on this machine, as they need not be for a deployment,
/// the trainer is asked without them.
///
/// # Errors
/// [`SimulationError`]: the job has no command for its trainer, the trainer declares no model, the data are faulty,
/// the file is of another model.
pub fn initial_model(job: &Job, environment: &Environment) -> Result<Parameters, SimulationError> {
    let section = complete(&job.data)?;
    let data: Option<Arc<dyn DataSet>> = match read_source(&section, &environment.places) {
        Ok(source) => {
            let threads = environment.threads(job.simulation.threads);
            let federation = Federation::found(job, job.seed, &source, threads)?;
            Some(Arc::new(WorkerData::new(federation.data)))
        }
        Err(SourceError::NotFetched { .. } | SourceError::File(FileError::Missing { .. })) => None,
        Err(error) => return Err(error.into()),
    };
    let mut trainers = start_workers(job, environment, data)?;
    let seed = Seed::from(job.seed).derive(Purpose::Initial, 0, None);
    let declared = initial_of_worker(job, &mut trainers, &seed)?;
    match &job.model.init {
        Some(path) => Ok(load_model(
            &environment.places.base.join(path),
            declared.layout(),
        )?),
        None => Ok(declared),
    }
}
