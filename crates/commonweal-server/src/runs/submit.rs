//! Submission: a job that can never run is refused at once, with what to do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use commonweal_core::job::{Job, Manifest, ModelKind};
use commonweal_disk::complete;
use commonweal_wire::control::{ApiError, RunInfo, Submission};

use super::foundation::submitted;
use super::population::{Candidates, Standing};
use super::run::Actor;
use super::{Runs, error, files, of_store};
use crate::store::{NewRun, NodeState};

impl Runs {
    /// Takes a job, and asks the nodes that fit for their consent.
    ///
    /// # Errors
    /// [`ApiError`]: the job is faulty, or too few enrolled nodes fit it.
    pub async fn submit(
        &self,
        submission: &Submission,
        submitter: &str,
    ) -> Result<RunInfo, ApiError> {
        let job = Job::parse(&submission.job).map_err(|fault| error("job", fault.to_string()))?;
        let initial = initial(&job, submission.initial.as_deref())?;
        complete(&job.data).map_err(|fault| error("job", fault.to_string()))?;
        self.expect_nodes(&job).await?;
        let manifest = Manifest::of(&job);
        let store = &self.0.store;
        let put = async |bytes| {
            store
                .blobs()
                .put(bytes)
                .await
                .map_err(|fault| of_store(&fault))
        };
        let bytes = Bytes::copy_from_slice(manifest.bytes());
        let mut named = vec![(files::MANIFEST.to_owned(), put(bytes).await?)];
        if let Some(initial) = initial {
            named.push((files::INITIAL.to_owned(), put(initial).await?));
        }
        let run = NewRun {
            job_name: job.name.clone(),
            job: job.to_toml(),
            manifest: manifest.digest(),
            submitter: submitter.to_owned(),
            submitted_at_ms: self.0.exchange.now_ms(),
            files: named,
        };
        let record = store
            .runs()
            .submit(&run)
            .await
            .map_err(|fault| of_store(&fault))?;
        tracing::info!(run = %record.id, submitter, "a run was submitted");
        let id = record.id.clone();
        Actor::begin(&self.0, record).map_err(|fault| error("job", fault.to_string()))?;
        self.info(&id).await
    }

    /// Refuses a job for which too few nodes are enrolled.
    async fn expect_nodes(&self, job: &Job) -> Result<(), ApiError> {
        let nodes = self
            .0
            .store
            .nodes()
            .list()
            .await
            .map_err(|fault| of_store(&fault))?;
        let mut candidates = Candidates::default();
        for node in nodes
            .iter()
            .filter(|node| node.state == NodeState::Enrolled)
        {
            let (stated, is_online) = self.0.stated(&node.name);
            let stated = stated.as_deref().unwrap_or(&node.statement);
            candidates.enrolled(job, &node.name, node.key.id(), stated, is_online);
        }
        let fitting = candidates.of(Standing::Undecided).count();
        let needed = job.deployment.clients.max(job.cohort.minimum) as usize;
        match fitting >= needed {
            true => Ok(()),
            false => Err(error("minimum", too_few(fitting, needed, &candidates))),
        }
    }
}

fn too_few(fitting: usize, needed: usize, candidates: &Candidates) -> String {
    let why = match candidates.losses() {
        losses if losses.is_empty() => "no other node is enrolled".to_owned(),
        losses => losses,
    };
    format!(
        "{fitting} enrolled nodes fit the job, and it needs {needed} (deployment.clients): {why}. Invite more nodes, \
         or lower deployment.clients and cohort.minimum"
    )
}

/// The model to begin with, where the job names one.
fn initial(job: &Job, text: Option<&str>) -> Result<Option<Bytes>, ApiError> {
    let is_external = job.model.kind == ModelKind::External;
    match (text, is_external || job.model.init.is_some()) {
        (None, false) => Ok(None),
        (None, true) if is_external => Err(error(
            "initial",
            "model.kind = \"external\" leaves the tensors to a trainer, which a server does not run: submit the model \
             that it begins with too, as `commonweal submit` does",
        )),
        (None, true) => Err(error(
            "initial",
            "the job begins with a model of its own (model.init): submit it too",
        )),
        (Some(_), false) => Err(error(
            "initial",
            "a model was submitted that the job does not name: set model.init, or leave it out",
        )),
        (Some(text), true) => {
            let bytes = STANDARD.decode(text);
            let bytes = bytes.map_err(|_| error("initial", "the submitted model is no base64"))?;
            // A built-in model's layout is known with the data's schema; that it is a model at all, at once.
            submitted(&bytes).map_err(|fault| error("initial", fault.to_string()))?;
            Ok(Some(bytes.into()))
        }
    }
}
