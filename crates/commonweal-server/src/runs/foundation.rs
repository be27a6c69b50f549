//! What a run is built on: the questions that its schema raises, their answers, and the model that follows.
//!
//! The server has no rows. A blank source of the nodes' schema asks the same questions and takes the same shape as
//! theirs.

use std::path::Path;
use std::sync::Arc;

use commonweal_core::job::{Job, Manifest, ModelKind};
use commonweal_core::{
    Digest, Known, Layout, Parameters, PrepareSpec, Prepared, Purpose, RunSpec, RunSpecError, Seed,
};
use commonweal_data::{ApplyError, DataSchema, FeaturesError, Preparation, Source, UndeclaredKind};
use commonweal_disk::model_file::{ModelFileError, parse_model};
use commonweal_disk::{InputRecord, SourceError, complete, parse_declared};
use commonweal_train::{Model, ModelError, instruction_set};

/// A job, and the questions that it raises on data of a schema.
#[derive(Debug)]
pub(super) struct Questions {
    blank: Source,
    preparation: Preparation,
}

/// A run before its first round.
#[derive(Debug)]
pub(super) struct Foundation {
    /// What the run is made of, once for each time that it is begun or gone on with.
    known: Known,
    model: Declared,
    /// What the model takes in.
    pub(super) input: InputRecord,
}

/// Who says what the model is.
#[derive(Debug)]
enum Declared {
    /// The job.
    Job(Model),
    /// Whoever submitted it, with initial values.
    Submitted(Parameters),
}

/// Why a job makes no run on these data.
#[derive(Debug, thiserror::Error)]
pub(super) enum FoundationError {
    /// A data set that this version does not know.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The job's own words about the features are faulty.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// Texts would be asked for that the job does not declare to be categories.
    #[error(transparent)]
    Undeclared(#[from] UndeclaredKind),
    /// The answers do not fit the questions.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The model does not fit the data.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The job does not fit the data.
    #[error(transparent)]
    Run(#[from] RunSpecError),
    /// The model to begin with is another.
    #[error(transparent)]
    Initial(#[from] ModelFileError),
    /// A model that only its trainer knows, of which nothing was submitted.
    #[error(
        "the run has no initial model: its trainer would have to bring one, and a server runs no trainer"
    )]
    NoInitial,
}

impl Questions {
    /// Those of `job` on data of `schema`.
    ///
    /// # Errors
    /// The job's `[data]` is faulty.
    pub(super) fn of(job: &Job, schema: &DataSchema) -> Result<Self, FoundationError> {
        let section = complete(&job.data)?;
        let blank = schema.blank(&section);
        let preparation = Preparation::of_job(job, &blank, &section)?;
        preparation.expect_declared(job, &blank, &section)?;
        Ok(Self { blank, preparation })
    }

    /// The columns to sum up; none if there is nothing to ask.
    pub(super) fn spec(&self) -> Option<&PrepareSpec> {
        Some(self.preparation.spec()).filter(|spec| !spec.columns.is_empty())
    }

    /// The run that follows from the answers.
    ///
    /// # Errors
    /// [`FoundationError`].
    pub(super) fn answered(
        &self,
        job: &Job,
        manifest: &Manifest,
        prepared: &Prepared,
        initial: Option<&[u8]>,
    ) -> Result<Foundation, FoundationError> {
        let data = self.preparation.apply(&self.blank, prepared)?;
        let input = InputRecord::of(&self.blank, &self.preparation, prepared, &data)?;
        let known = Known {
            manifest: manifest.digest(),
            prepared: self.spec().map(|_| prepared.digest()),
            class_rows: self
                .preparation
                .class_rows_of(prepared, data.shape().target),
            instruction_set: instruction_set().to_string(),
        };
        let model = match (&job.model.kind, initial) {
            (ModelKind::External, Some(bytes)) => Declared::Submitted(submitted(bytes)?),
            (ModelKind::External, None) => return Err(FoundationError::NoInitial),
            _ => Declared::Job(Model::build(&job.model, &data.shape())?),
        };
        Ok(Foundation {
            known,
            model,
            input,
        })
    }
}

impl Foundation {
    /// Tensors of the model.
    pub(super) fn layout(&self) -> &Arc<Layout> {
        match &self.model {
            Declared::Job(model) => model.layout(),
            Declared::Submitted(initial) => initial.layout(),
        }
    }

    /// What the run is made of.
    ///
    /// # Errors
    /// [`FoundationError::Run`].
    pub(super) fn run_spec(&self, job: &Job) -> Result<RunSpec, FoundationError> {
        Ok(RunSpec::of_job(job, self.known.clone())?)
    }

    /// The model to begin with: that of `initial`, or drawn from the job's seed.
    ///
    /// # Errors
    /// [`FoundationError::Initial`].
    pub(super) fn initial(
        &self,
        job: &Job,
        initial: Option<&[u8]>,
    ) -> Result<Parameters, FoundationError> {
        match (&self.model, initial) {
            (Declared::Submitted(initial), _) => Ok(initial.clone()),
            (Declared::Job(model), Some(bytes)) => {
                Ok(parse_model(Path::new(SUBMITTED), bytes, model.layout())?)
            }
            (Declared::Job(model), None) => {
                let seed = Seed::from(job.seed).derive(Purpose::Initial, 0, None);
                Ok(model.initial(&seed))
            }
        }
    }
}

/// What a submitted model is called where it does not fit.
const SUBMITTED: &str = "the submitted model";

/// A submitted model, of the layout that it says.
///
/// # Errors
/// [`ModelFileError`]: it is no model, or holds a value that is not finite.
pub(super) fn submitted(bytes: &[u8]) -> Result<Parameters, ModelFileError> {
    parse_declared(Path::new(SUBMITTED), bytes)
}

/// The record where every level, class and scale is declared.
pub(super) fn nothing_asked(manifest: Digest, clients: u64) -> Prepared {
    Prepared {
        manifest,
        clients,
        rows: 0,
        columns: Vec::new(),
    }
}
