//! A run folder whose run is over: measure its model, predict with it, take it elsewhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use commonweal_core::Parameters;
use commonweal_core::job::{BUILT_IN_TRAINER, Job};
use commonweal_disk::client_table::ClientRow;
use commonweal_disk::file::{self, FileError};
use commonweal_disk::folder::RunFolder;
use commonweal_disk::model_file::load_model;
use commonweal_disk::{InputError, InputRecord, complete, read_json, read_source};
use commonweal_train::{BuiltInTrainer, Model};

use crate::environment::Environment;
use crate::error::SimulationError;
use crate::federation::Federation;
use crate::origin::Origin;
use crate::restore::states_at_end;
use crate::result::client_rows;
use crate::seed_run::SeedRun;
use crate::trainers::Start;

/// A finished run.
#[derive(Debug)]
pub struct FinishedRun {
    folder: RunFolder,
    job: Job,
    input: InputRecord,
    environment: Environment,
}

/// What a model measures on the clients' test rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Metrics over all clients, by name.
    pub metrics: BTreeMap<String, f64>,
    /// Each client with test rows, by name.
    pub clients: Vec<ClientRow>,
}

/// What a model says of each row.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// Names of the classes; none if a value is predicted.
    pub names: Option<Vec<String>>,
    /// A probability a class, or one value, for each row in turn.
    pub scores: Vec<f32>,
    /// Line of each row in its file, from 1; empty for rows that come from no file. A file's rows that lack
    /// what the job drops rows for are not among them.
    pub lines: Vec<u32>,
}

/// Why nothing can be predicted.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The rows do not fit.
    #[error("{0}")]
    Input(#[from] InputError),
    /// The model is another program's.
    #[error(
        "the model belongs to the trainer {trainer:?}, which alone can predict with it; \
         model.safetensors loads there"
    )]
    OtherTrainer {
        /// Its name.
        trainer: String,
    },
    /// The run folder is faulty.
    #[error(transparent)]
    Run(#[from] SimulationError),
}

impl FinishedRun {
    /// Opens the run in `folder`.
    ///
    /// # Errors
    /// [`SimulationError`]: there is no finished run.
    pub fn open(folder: &Path, environment: Environment) -> Result<Self, SimulationError> {
        let folder = RunFolder::open(folder)?;
        if !folder.model().is_file() {
            return Err(FileError::Missing {
                path: folder.model(),
            }
            .into());
        }
        let job = Job::parse(&file::read_text(&folder.job())?)?;
        let input = read_json(&folder.input())?;
        let mut environment = environment;
        // A run that was deployed has its data elsewhere, and its folder stands for where it was started.
        environment.places.base = match folder.origin().is_file() {
            true => Origin::read(&folder)?.base,
            false => folder.path().to_path_buf(),
        };
        Ok(Self {
            folder,
            job,
            input,
            environment,
        })
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Its job.
    #[must_use]
    pub fn job(&self) -> &Job {
        &self.job
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What its model takes in.
    #[must_use]
    pub fn input(&self) -> &InputRecord {
        &self.input
    }

    /// The built-in model and its parameters.
    ///
    /// # Errors
    /// [`PredictError`]: the model is another program's, or the file is faulty.
    pub fn model(&self) -> Result<(Model, Parameters), PredictError> {
        let trainer = &self.job.training.trainer;
        if trainer != BUILT_IN_TRAINER {
            return Err(PredictError::OtherTrainer {
                trainer: trainer.clone(),
            });
        }
        let model = Model::build(&self.job.model, &self.input.example());
        let model = model.map_err(SimulationError::from)?;
        let parameters = load_model(&self.folder.model(), model.layout());
        Ok((model, parameters.map_err(SimulationError::from)?))
    }

    /// Predicts from the rows of a CSV file; it needs no label.
    ///
    /// # Errors
    /// [`PredictError`], with line and column of what does not fit.
    pub fn predict(&self, csv: &[u8]) -> Result<Predictions, PredictError> {
        let (model, parameters) = self.model()?;
        let (data, lines) = self.input.dataset(csv)?;
        let data = Arc::new(data);
        let rows: Vec<u32> = (0..data.rows()).collect();
        let scores = BuiltInTrainer::new(Arc::new(model), data).predict(&parameters, &rows);
        Ok(Predictions {
            names: self.input.names().map(<[String]>::to_vec),
            scores,
            lines,
        })
    }

    /// Measures the model on the clients' test rows, as the run itself did at its end.
    ///
    /// What clients keep between rounds is that of the last checkpoint.
    ///
    /// # Errors
    /// [`SimulationError`]: the data are not there any more, or have changed, or the checkpoint is damaged.
    pub fn evaluate(&self) -> Result<Measured, SimulationError> {
        let source = read_source(&complete(&self.job.data)?, &self.environment.places)?;
        let threads = self.environment.threads(self.job.simulation.threads);
        let federation = Federation::found(&self.job, self.job.seed, &source, threads)?;
        let Start { mut crew, initial } =
            Start::of(&federation, None, &self.environment, Some(&self.folder))?;
        let model = load_model(&self.folder.model(), initial.layout())?;
        let states = states_at_end(&self.folder)?;
        let mut measuring = SeedRun::measuring(&federation, model, &mut crew, states)?;
        let spec = Arc::clone(&measuring.run.spec().metrics);
        let sums = measuring.measure_clients()?;
        let named = spec.values(&sums);
        let metrics = named.filter_map(|(kind, value)| Some((kind.name().to_owned(), value?)));
        let metrics = metrics.collect();
        let names: Vec<String> = spec
            .kinds()
            .iter()
            .map(|kind| kind.name().to_owned())
            .collect();
        let clients = client_rows(&federation, &names, &measuring.clients).collect();
        Ok(Measured { metrics, clients })
    }
}
