//! A finished run's model on rows that are named: of other data, or of its own by their numbers.

use std::path::Path;
use std::sync::Arc;

use commonweal_core::job::{Data, DataSource, Files, Manifest};
use commonweal_core::{
    ClientName, ClientRows, ClientState, EvaluatePlan, MetricSpec, ModelVersion, NameError,
    Prepared, Seed, Stage, Task, TaskId, TaskKind, TrainError, Trainer,
};
use commonweal_data::{ApplyError, Dataset, Preparation, Target};
use commonweal_disk::file;
use commonweal_disk::{InputError, SourceError, complete, read_json, read_source};
use commonweal_train::BuiltInTrainer;

use crate::error::SimulationError;
use crate::federation::Federation;
use crate::finished_run::{FinishedRun, Measured, PredictError, Predictions};

/// Rows of a run's own data with what its model says of them.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnRows {
    /// The data, as the model sees them.
    pub data: Arc<Dataset>,
    /// What the model says of each row.
    pub predictions: Predictions,
}

/// Why a model cannot be measured or used on some rows.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// A row that the data do not have.
    #[error("there is no row {row}: the data have rows 0 to {}", rows.saturating_sub(1))]
    NoRow {
        /// The row.
        row: u32,
        /// Rows of the data.
        rows: u32,
    },
    /// Examples of another shape.
    #[error("the examples in {path} have another shape than those that the model was trained on")]
    OtherShape {
        /// The file or folder.
        path: String,
    },
    /// The data cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The data do not fit what the clients found.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The rows do not fit.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The model cannot be used.
    #[error(transparent)]
    Predict(#[from] PredictError),
    /// The model cannot be measured.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The run folder is faulty.
    #[error(transparent)]
    Run(#[from] SimulationError),
    /// No client can stand for the rows.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl FinishedRun {
    /// Measures the model on all rows of the data at `path`, which are read as the run's own were.
    ///
    /// # Errors
    /// [`RowsError`]: the data cannot be read, or do not fit the model.
    pub fn evaluate_on(&self, path: &Path) -> Result<Measured, RowsError> {
        let (model, parameters) = self.model()?;
        let prepared: Prepared =
            read_json(&self.folder().prepared()).map_err(SimulationError::from)?;
        let data = self.read(path, &prepared)?;
        if data.shape() != self.input().example() {
            let path = path.display().to_string();
            return Err(RowsError::OtherShape { path });
        }
        let rows: Vec<u32> = (0..data.rows()).collect();
        let classes = match data.shape().target {
            Target::Classes(classes) | Target::NextTokens(classes) => classes as u32,
            Target::Value => 0,
        };
        let kinds = self.job().evaluation.metrics.clone();
        let metrics = Arc::new(MetricSpec::new(kinds, classes).map_err(TrainError::from)?);
        let plan = EvaluatePlan {
            metrics: Arc::clone(&metrics),
        };
        let task = self.task(&plan, &prepared);
        let client = ClientName::try_from("rows")?;
        let own = ClientRows {
            client: &client,
            train: &[],
            test: &rows,
        };
        let mut trainer = BuiltInTrainer::new(Arc::new(model), Arc::new(data));
        let state = ClientState::default();
        let sums = trainer.evaluate(&task, &plan, own, &parameters, &state, &mut ())?;
        let named = metrics.values(&sums);
        let metrics = named.filter_map(|(kind, value)| Some((kind.name().to_owned(), value?)));
        Ok(Measured {
            metrics: metrics.collect(),
            clients: Vec::new(),
        })
    }

    /// What the model says of rows of the run's own data, by their numbers from 0.
    ///
    /// # Errors
    /// [`RowsError`]: a row that there is not, or data that are not there any more.
    pub fn predict_rows(&self, rows: &[u32]) -> Result<OwnRows, RowsError> {
        let (model, parameters) = self.model()?;
        let source = read_source(&complete(&self.job().data)?, &self.environment().places)?;
        let job = self.job();
        let threads = self.environment().threads(job.simulation.threads);
        let data = Federation::found(job, job.seed, &source, threads)?.data;
        if let Some(&row) = rows.iter().find(|&&row| row >= data.rows()) {
            let rows = data.rows();
            return Err(RowsError::NoRow { row, rows });
        }
        let mut trainer = BuiltInTrainer::new(Arc::new(model), Arc::clone(&data));
        let predictions = Predictions {
            names: self.input().names().map(<[String]>::to_vec),
            scores: trainer.predict(&parameters, rows),
            lines: Vec::new(),
        };
        Ok(OwnRows { data, predictions })
    }

    fn read(&self, path: &Path, prepared: &Prepared) -> Result<Dataset, RowsError> {
        if path.is_file() {
            let bytes = file::read_bytes(path).map_err(SimulationError::from)?;
            if let Some(table) = self.input().labelled(&bytes)? {
                return Ok(table);
            }
        }
        // From where the user is, not from where the run began.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let section = complete(&self.job().data)?;
        let section = Data {
            source: DataSource::Path(path.display().to_string()),
            files: Files::default(),
            ..section
        };
        let source = read_source(&section, &self.environment().places)?;
        let preparation =
            Preparation::of_job(self.job(), &source, &section).map_err(SimulationError::from)?;
        Ok(preparation.apply(&source, prepared)?)
    }

    fn task(&self, plan: &EvaluatePlan, prepared: &Prepared) -> Task {
        Task {
            id: TaskId {
                round: 0,
                stage: Stage::Evaluate,
                attempt: 0,
            },
            manifest: Manifest::of(self.job()).digest(),
            prepared: (!prepared.columns.is_empty()).then(|| prepared.digest()),
            base: ModelVersion(0),
            seed: Seed::from(self.job().seed),
            deadline: None,
            cohort: 1,
            kind: TaskKind::Evaluate(Arc::new(plan.clone())),
        }
    }
}
