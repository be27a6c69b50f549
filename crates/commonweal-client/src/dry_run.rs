//! A dry run: what a job would make this node send, shown to its owner before anything is sent.
//!
//! The node does every kind of task once, on its own rows and with nobody else, with the code of a real run, and lists
//! the bytes instead of sending them. Nothing leaves; the result is for the owner and holds numbers of the data.

use std::fmt;
use std::path::{Path, PathBuf};

use commonweal_core::job::{Job, JobErrors, Manifest};
use commonweal_core::{
    ClientState, Digest, Found, Layout, MetricSpec, MetricSums, Payload, Prepared, Task, TaskKind,
};
use commonweal_disk::file::{FileError, read_text};
use serde::Serialize;

use crate::assignment::Watch;
use crate::node::Node;
use crate::parts::parts;
use crate::plain::Plain;
use crate::record::Part;
use crate::request::{RequestError, Requests};
use crate::session::{Session, SessionError};
use crate::solo::{self, Solo, SoloError, SoloKnown};

/// What is tried out.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A run that has asked for consent.
    Run(&'a str),
    /// A job file.
    Job(&'a Path),
}

/// What would leave the node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DryRun {
    /// The run, or the job file.
    pub subject: String,
    /// The job's name.
    pub job: String,
    /// The manifest's digest: the same as in `node show`.
    pub manifest: String,
    /// The node.
    pub node: String,
    /// The data set.
    pub data: String,
    /// Rows to learn from.
    pub train_rows: usize,
    /// Rows held out.
    pub held_out_rows: usize,
    /// What the server is told of the data when the run is approved, to the letter.
    pub schema: String,
    /// What the data are summed up to, column by column.
    pub found: Vec<FoundLine>,
    /// Each kind of report.
    pub reports: Vec<Leaving>,
    /// The metrics that the evaluation's report tells, of the model after one round here.
    pub metrics: Vec<(String, Option<f64>)>,
    /// How often each kind of report leaves at most.
    pub rounds: u32,
    /// What is done so that an update tells little.
    pub protections: String,
}

/// One column as it is summed up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoundLine {
    /// The column.
    pub column: String,
    /// What leaves of it.
    pub what: String,
}

/// One kind of report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Leaving {
    /// The kind of task.
    pub task: String,
    /// What is in it.
    pub parts: Vec<Part>,
    /// Bytes of the report.
    pub bytes: u64,
    /// SHA-256 of the report.
    pub digest: String,
}

/// Why there is no dry run.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    /// The job file is faulty.
    #[error("{}: {source}", path.display())]
    Job {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: JobErrors,
    },
    /// The run has not asked.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The node's part failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The round failed.
    #[error(transparent)]
    Solo(#[from] SoloError),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Node {
    /// Does every kind of task of a job once and lists what would leave. Reads the rows: the owner asks for it.
    ///
    /// # Errors
    /// [`DryRunError`]: the job or the data are faulty, or training fails.
    pub fn dry_run(&self, subject: Subject<'_>) -> Result<DryRun, DryRunError> {
        let (subject, job) = self.subject(subject)?;
        let manifest = Manifest::of(&job).digest();
        let mut session = Session::open(&self.settings, job, manifest, &self.membership.name)?;
        let mut leaving = Vec::new();
        let prepared = prepare_alone(&mut session, &mut |task, payload, layout| {
            leaving.push(Leaving::of(task, payload, layout));
        })?;
        let folder = self.folder.path();
        session.fit(prepared.as_ref(), &self.settings, folder)?;
        // One round is all there is, and it is measured.
        let mut job = session.job.clone();
        job.evaluation.every = 1;
        let mut solo = solo_run(&job, &session, prepared.as_ref())?;
        let mut state = ClientState::default();
        let mut note = |task: &Task, payload: &Payload, layout: Option<&Layout>| {
            leaving.push(Leaving::of(task, payload, layout));
        };
        train_once(&mut session, &mut solo, &mut state, &mut note)?;
        let (spec, sums) = evaluate_once(&mut session, &mut solo, &state, &mut note)?;
        let named = spec.values(&sums);
        Ok(DryRun {
            subject,
            job: session.job.name.clone(),
            manifest: manifest.to_string(),
            node: self.name().to_owned(),
            data: session.job.deployment.data.clone(),
            train_rows: session.data.train().len(),
            held_out_rows: session.data.held_out().len(),
            schema: session.data.schema().encode(),
            found: prepared.as_ref().map(found_lines).unwrap_or_default(),
            reports: leaving,
            metrics: named
                .map(|(kind, value)| (kind.name().to_owned(), value))
                .collect(),
            rounds: session.job.rounds,
            protections: crate::description::protections(&session.job),
        })
    }

    fn subject(&self, subject: Subject<'_>) -> Result<(String, Job), DryRunError> {
        match subject {
            Subject::Run(run) => {
                let requests = Requests::of(&self.folder);
                let (_, job) = requests.manifest(&requests.find(run)?)?;
                Ok((run.to_owned(), job))
            }
            Subject::Job(path) => {
                let job = Job::parse(&read_text(path)?).map_err(|source| DryRunError::Job {
                    path: path.to_path_buf(),
                    source,
                })?;
                Ok((path.display().to_string(), job))
            }
        }
    }
}

/// Sees a report that would leave.
pub(crate) type Note<'a> = dyn FnMut(&Task, &Payload, Option<&Layout>) + 'a;

/// What `prepare` finds on this node alone; none if the job asks for nothing.
pub(crate) fn prepare_alone(
    session: &mut Session,
    note: &mut Note<'_>,
) -> Result<Option<Prepared>, SoloError> {
    let spec = session.data.preparation.spec().clone();
    if spec.columns.is_empty() {
        return Ok(None);
    }
    let (manifest, name) = (session.manifest(), session.name().clone());
    let mut answer = |task: &Task| {
        let done = session.prepare(task)?;
        note(task, &done.payload, None);
        Ok(done.payload)
    };
    solo::prepare(&spec, manifest, &name, &mut answer).map(Some)
}

/// The run of this node alone, from the initial model of the job's seed. The session is fitted.
pub(crate) fn solo_run(
    job: &Job,
    session: &Session,
    prepared: Option<&Prepared>,
) -> Result<Solo, SoloError> {
    let unfitted = || SoloError::Session(SessionError::OtherPrepared);
    let initial = session.initial().ok_or_else(unfitted)?;
    let nothing = Prepared {
        manifest: session.manifest(),
        clients: 1,
        rows: session.data.train().len() as u64,
        columns: Vec::new(),
    };
    let class_rows = session.class_rows(prepared.unwrap_or(&nothing));
    let known = SoloKnown {
        manifest: session.manifest(),
        prepared: prepared.map(Prepared::digest),
        class_rows: class_rows.ok_or_else(unfitted)?,
    };
    Solo::new(job, known, session.name(), initial)
}

/// One round of training here.
pub(crate) fn train_once(
    session: &mut Session,
    solo: &mut Solo,
    state: &mut ClientState,
    note: &mut Note<'_>,
) -> Result<(), SoloError> {
    let model = solo.model().clone();
    let layout = session.layout().cloned();
    let watch = Watch::default();
    solo.train(&mut |task| {
        let done = session.perform(task, &model, state.clone(), &mut &watch)?;
        if let Some(advanced) = done.state {
            *state = advanced;
        }
        note(task, &done.payload, layout.as_deref());
        Ok(done.payload)
    })
}

/// Measures the model as it stands here.
pub(crate) fn evaluate_once(
    session: &mut Session,
    solo: &mut Solo,
    state: &ClientState,
    note: &mut Note<'_>,
) -> Result<(std::sync::Arc<MetricSpec>, MetricSums), SoloError> {
    let model = solo.model().clone();
    let layout = session.layout().cloned();
    let watch = Watch::default();
    let spec = std::sync::Arc::clone(&solo.spec().metrics);
    let sums = solo.evaluate(&mut |task| {
        let done = session.perform(task, &model, state.clone(), &mut &watch)?;
        note(task, &done.payload, layout.as_deref());
        Ok(done.payload)
    })?;
    Ok((spec, sums))
}

impl Leaving {
    fn of(task: &Task, payload: &Payload, layout: Option<&Layout>) -> Self {
        let kind = match task.kind {
            TaskKind::Prepare(_) => "prepare, once",
            TaskKind::Train(_) => "train, in each round that this node is drawn for",
            TaskKind::Evaluate(_) => "evaluate, after the rounds that are measured",
        };
        let bytes = payload.as_bytes();
        Self {
            task: kind.to_owned(),
            parts: parts(task, payload, layout),
            bytes: bytes.len() as u64,
            digest: Digest::of(bytes).to_string(),
        }
    }
}

fn found_lines(prepared: &Prepared) -> Vec<FoundLine> {
    let columns = prepared.columns.iter().map(|column| FoundLine {
        column: column.name.clone(),
        what: match &column.found {
            Found::Moments {
                count,
                mean,
                deviation,
            } => format!(
                "{count} numbers, as sums that give mean {mean:.4} and deviation {deviation:.4}"
            ),
            Found::Levels(levels) => {
                let levels = levels
                    .iter()
                    .map(|(level, count)| format!("{level:?} × {count}"));
                levels.collect::<Vec<_>>().join(", ")
            }
        },
    });
    columns.collect()
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} on {}: nothing was sent. This is what would leave:",
            self.subject, self.node
        )?;
        writeln!(f, "  on approval: {}", Plain(&self.schema))?;
        for report in &self.reports {
            writeln!(f, "  {}: {} bytes", report.task, report.bytes)?;
            for part in &report.parts {
                let (shape, bytes) = (&part.shape, part.bytes);
                writeln!(
                    f,
                    "    {:<40} {:<4} {shape:?}  {bytes} bytes",
                    Plain(&part.name).to_string(),
                    part.element
                )?;
            }
        }
        for line in &self.found {
            writeln!(f, "  column {}: {}", Plain(&line.column), Plain(&line.what))?;
        }
        for (name, value) in &self.metrics {
            match value {
                Some(value) => writeln!(f, "  {name} here, after one round alone: {value:.4}")?,
                None => writeln!(f, "  {name} here: no value")?,
            }
        }
        write!(f, "  protections: {}", self.protections)
    }
}
