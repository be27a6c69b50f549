//! The model that a submitted job begins with, as the file that goes to the server.

use std::path::Path;

use commonweal_core::job::ModelKind;
use commonweal_disk::file::read_bytes;
use commonweal_disk::{declare_model, parse_declared};
use commonweal_sim::{SimulationError, initial_model};

use crate::context::Context;
use crate::failure::Failure;
use crate::job_file::JobFile;
use crate::training;

/// The bytes of that file; none for a model that follows from the job alone.
///
/// A model that only its trainer knows comes from the trainer's process, started here with the job's own command for
/// simulations, or from the file that `model.init` names.
///
/// # Errors
/// The file cannot be read or is no model; the trainer declares none; the job names neither.
pub(crate) fn initial_file(context: &Context, file: &JobFile) -> Result<Option<Vec<u8>>, Failure> {
    let job = &file.job;
    let base = file.path.as_deref().and_then(Path::parent);
    let base = base.unwrap_or(Path::new(""));
    let init = job.model.init.as_ref().map(|init| base.join(init));
    if job.model.kind != ModelKind::External {
        return Ok(init.map(|path| read_bytes(&path)).transpose()?);
    }
    let trainer = &job.training.trainer;
    let model = match init {
        _ if job.simulation.trainers.contains_key(trainer) => {
            initial_model(job, &training::environment(context, base.to_path_buf()))?
        }
        Some(path) => parse_declared(&path, &read_bytes(&path)?).map_err(SimulationError::from)?,
        None => {
            return Err(Failure::NoInitialModel {
                trainer: trainer.clone(),
            });
        }
    };
    Ok(Some(declare_model(&model).map_err(SimulationError::from)?))
}
