//! The final federated model against one that this node trains alone, on the node's own held-out rows. Stays here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use commonweal_core::{
    ClientState, Digest, EvaluatePlan, Layout, MetricSpec, MetricSums, ModelVersion, Next,
    Parameters, Seed, Stage, Task, TaskId, TaskKind,
};
use commonweal_disk::file::{FileError, write_bytes};
use commonweal_disk::model_file::{ModelFileError, parse_model};
use serde::Serialize;

use crate::assignment::{Watch, parameters};
use crate::backoff::Pace;
use crate::connection::CallError;
use crate::dry_run::{evaluate_once, prepare_alone, solo_run, train_once};
use crate::node::{Node, NodeError};
use crate::request::{Ended, PreparedBlob, Request, RequestError, Requests};
use crate::runtime::{RuntimeError, runtime};
use crate::session::{Session, SessionError};
use crate::shared::Shared;
use crate::solo::SoloError;
use crate::states::StateError;

/// What a run was worth to this node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeReport {
    /// The run.
    pub run: String,
    /// Rows that this node trained on.
    pub train_rows: usize,
    /// Rows that both models were measured on.
    pub test_rows: usize,
    /// Each metric.
    pub metrics: Vec<MetricLine>,
}

/// One metric of both models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricLine {
    /// Its name.
    pub name: String,
    /// Of the federation's final model.
    pub federated: Option<f64>,
    /// Of the model that was trained here alone, in as many rounds.
    pub alone: Option<f64>,
}

/// A final model that was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelSaved {
    /// The run.
    pub run: String,
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: usize,
    /// SHA-256 of them.
    pub digest: String,
}

/// Why there is no report, or no model.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The run goes on.
    #[error("{run} is not over yet: wait for its end")]
    NotOver {
        /// The run.
        run: String,
    },
    /// There is no model to have.
    #[error(
        "{run} {ending}, and leaves nodes no model: the job has deployment.share_model = false, or it came to no end"
    )]
    NoModel {
        /// The run.
        run: String,
        /// How it ended.
        ending: String,
    },
    /// The owner did not agree to the run.
    #[error("{run} was not approved here: this node's rows are not read for it")]
    NotApproved {
        /// The run.
        run: String,
    },
    /// The model does not fit.
    #[error(transparent)]
    Model(#[from] ModelFileError),
    /// The node's files.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The run has not asked.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The model cannot be fetched.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The node's part failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Training alone failed.
    #[error(transparent)]
    Solo(#[from] SoloError),
    /// The client state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// No thread to wait on.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

impl Node {
    /// Trains a model on this node's rows alone and measures it beside the final federated one on the rows that the
    /// node holds out. Fetches the model and sends nothing.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn report(&self, run: &str) -> Result<NodeReport, ReportError> {
        let shared = self.shared(Pace::NETWORK)?;
        let (request, ended) = over(&shared.requests, run)?;
        if !request.decision.is_approved() {
            let run = run.to_owned();
            return Err(ReportError::NotApproved { run });
        }
        let (_, job) = shared.requests.manifest(&request)?;
        let bytes = fetch(&shared, &request, &ended)?;
        let name = &self.membership.name;
        let mut session = Session::open(&self.settings, job, request.manifest, name)?;
        let prepared = prepare_alone(&mut session, &mut |_, _, _| {})?;
        session.fit(prepared.as_ref(), &self.settings, self.folder.path())?;
        let mut solo = solo_run(&session.job, &session, prepared.as_ref())?;
        let mut state = ClientState::default();
        loop {
            match solo.next() {
                Next::Train => {
                    train_once(&mut session, &mut solo, &mut state, &mut |_, _, _| {})?;
                }
                Next::Evaluate => {
                    evaluate_once(&mut session, &mut solo, &state, &mut |_, _, _| {})?;
                }
                Next::End(_) => break,
            }
        }
        let spec = Arc::clone(&solo.spec().metrics);
        let alone = measure(&mut session, &spec, solo.model(), &state)?;
        let federated = self.federated(&shared, &mut session, &request, &spec, &bytes)?;
        let pairs = spec.values(&federated).zip(spec.values(&alone));
        Ok(NodeReport {
            run: run.to_owned(),
            train_rows: session.data.train().len(),
            test_rows: session.data.test().len(),
            metrics: pairs
                .map(|((kind, federated), (_, alone))| MetricLine {
                    name: kind.name().to_owned(),
                    federated,
                    alone,
                })
                .collect(),
        })
    }

    /// The federated model sees the data as all nodes agreed to see them.
    fn federated(
        &self,
        shared: &Shared,
        session: &mut Session,
        request: &Request,
        spec: &Arc<MetricSpec>,
        bytes: &[u8],
    ) -> Result<MetricSums, ReportError> {
        let prepared = match request.prepared {
            Some(PreparedBlob { blob, found }) => {
                Some(runtime()?.block_on(shared.blobs().prepared(&blob, &found))?)
            }
            None => None,
        };
        session.fit(prepared.as_ref(), &self.settings, self.folder.path())?;
        let layout = session
            .layout()
            .cloned()
            .ok_or(SessionError::OtherPrepared)?;
        let model = final_model(&layout, bytes, &request.run)?;
        let state = shared.states.load(&request.run)?;
        measure(session, spec, &model, &state)
    }

    /// Fetches the final model of a run, if its job lets nodes have it.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn model(&self, run: &str, to: &Path) -> Result<ModelSaved, ReportError> {
        let shared = self.shared(Pace::NETWORK)?;
        let (request, ended) = over(&shared.requests, run)?;
        let bytes = fetch(&shared, &request, &ended)?;
        write_bytes(to, &bytes)?;
        Ok(ModelSaved {
            run: run.to_owned(),
            path: to.to_path_buf(),
            bytes: bytes.len(),
            digest: Digest::of(&bytes).to_string(),
        })
    }
}

fn over(requests: &Requests, run: &str) -> Result<(Request, Ended), ReportError> {
    let request = requests.find(run)?;
    match request.ended.clone() {
        Some(ended) => Ok((request, ended)),
        None => Err(ReportError::NotOver {
            run: run.to_owned(),
        }),
    }
}

fn fetch(shared: &Shared, request: &Request, ended: &Ended) -> Result<Vec<u8>, ReportError> {
    let none = || ReportError::NoModel {
        run: request.run.clone(),
        ending: ended.ending.clone(),
    };
    let digest = ended.model.ok_or_else(none)?;
    // Values, names and shapes: a safetensors file is somewhat larger than the values alone.
    let longest = 8 * Layout::MAX_LEN + (64 << 20);
    Ok(runtime()?.block_on(shared.blobs().bytes(&digest, longest))?)
}

/// The model as a file of tensors, or as its values alone.
fn final_model(layout: &Arc<Layout>, bytes: &[u8], run: &str) -> Result<Parameters, ReportError> {
    match bytes.len() == 4 * layout.len() {
        true => Ok(parameters(layout, bytes)?),
        false => Ok(parse_model(Path::new(run), bytes, layout)?),
    }
}

fn measure(
    session: &mut Session,
    metrics: &Arc<MetricSpec>,
    model: &Parameters,
    state: &ClientState,
) -> Result<MetricSums, ReportError> {
    let plan = Arc::new(EvaluatePlan {
        metrics: Arc::clone(metrics),
    });
    let task = Task {
        id: TaskId {
            round: 0,
            stage: Stage::Evaluate,
            attempt: 0,
        },
        manifest: session.manifest(),
        prepared: None,
        base: ModelVersion(0),
        seed: Seed::from(session.job.seed),
        deadline: None,
        cohort: 1,
        kind: TaskKind::Evaluate(Arc::clone(&plan)),
    };
    let watch = Watch::default();
    Ok(session.measure(&task, &plan, model, state, &mut &watch)?)
}

impl fmt::Display for NodeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: measured on the {} rows that this node holds out of {}; computed here, and kept here.",
            self.run,
            self.test_rows,
            self.test_rows + self.train_rows
        )?;
        write!(f, "  {:<22} {:>10} {:>10}", "", "federated", "alone")?;
        for line in &self.metrics {
            let value = |value: Option<f64>| {
                value.map_or_else(|| "none".to_owned(), |value| format!("{value:.4}"))
            };
            let (federated, alone) = (value(line.federated), value(line.alone));
            write!(f, "\n  {:<22} {federated:>10} {alone:>10}", line.name)?;
        }
        Ok(())
    }
}

impl fmt::Display for ModelSaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: the final model is in {} ({} bytes).",
            self.run,
            self.path.display(),
            self.bytes
        )
    }
}
