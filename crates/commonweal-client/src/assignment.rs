//! One task, from its arrival to a report: what the thread that computes is given, and what it gives back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use commonweal_core::job::Job;
use commonweal_core::{
    ClientState, Digest, Flow, Layout, Parameters, Prepared, Progress, Task, TaskId, TaskKind,
    TrainError,
};
use commonweal_wire::proto::{FailureCode, TaskFailure};
use tokio::sync::Notify;

use crate::connection::CallError;
use crate::parts::parts;
use crate::record::Part;
use crate::session::{Done, Session, SessionError};
use crate::shared::Shared;
use crate::states::StateError;

/// A task that the server gave.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub(crate) run: String,
    pub(crate) task: Task,
    /// The blob of the model's values; none for a task that needs none.
    pub(crate) model: Option<Digest>,
    /// Digest of the layout that the model's values have; none for a task that needs none.
    pub(crate) layout: Option<Digest>,
    /// The blob of what `prepare` found; none if nothing was asked.
    pub(crate) prepared: Option<Digest>,
    /// The sum in which the report will be counted.
    pub(crate) accumulator: String,
}

/// How far the work on a task is, seen from outside, and the way to end it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    ended: Notify,
    done: AtomicU64,
    total: AtomicU64,
    is_cancelled: AtomicBool,
}

/// A report that is ready to leave.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) bytes: Bytes,
    pub(crate) digest: Digest,
    pub(crate) parts: Vec<Part>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssignmentError {
    /// The model or what was found cannot be fetched.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The task cannot be done.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The node's own state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A task of training or evaluation without a model.
    #[error("the server names no model for this task")]
    NoModel,
    /// The code that computes has a fault.
    #[error("the trainer panicked: {0}")]
    Panicked(String),
}

impl Assignment {
    /// The task's name.
    pub(crate) fn id(&self) -> TaskId {
        self.task.id
    }

    /// Fetches what the task needs, and does it on a thread of its own. The session comes back, if it is of
    /// further use.
    pub(crate) async fn perform(
        self,
        shared: Arc<Shared>,
        job: Job,
        session: Option<Box<Session>>,
        watch: Arc<Watch>,
    ) -> (Option<Box<Session>>, Result<Ready, AssignmentError>) {
        let prepared = self.task.prepared;
        let is_fitted = session
            .as_ref()
            .is_some_and(|session| session.is_fitted_to(prepared));
        let needs = tokio::select! {
            needs = self.needs(&shared, is_fitted) => needs,
            () = watch.cancelled() => Err(SessionError::from(TrainError::Cancelled).into()),
        };
        let needs = match needs {
            Ok(needs) => needs,
            Err(error) => return (session, Err(error)),
        };
        // Whoever took the consent back while that was fetched wants no row to be read any more.
        if watch.is_cancelled() {
            let cancelled = SessionError::from(TrainError::Cancelled);
            return (session, Err(cancelled.into()));
        }
        let work = move || {
            let mut session = session;
            let result = self.work(&shared, job, &mut session, needs, &watch);
            if let Err(AssignmentError::Session(error)) = &result
                && error.is_trainer_lost()
            {
                session = None;
            }
            (session, result)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => (None, Err(AssignmentError::Panicked(error.to_string()))),
        }
    }

    async fn needs(&self, shared: &Shared, is_fitted: bool) -> Result<Needs, AssignmentError> {
        let blobs = shared.blobs();
        let prepared = match (self.task.prepared, self.prepared) {
            (Some(found), Some(blob)) if !is_fitted => Some(blobs.prepared(&blob, &found).await?),
            _ => None,
        };
        let longest = 4 * Layout::MAX_LEN;
        let model = match (&self.task.kind, &self.model) {
            (TaskKind::Prepare(_), _) => None,
            (_, Some(digest)) => Some(blobs.bytes(digest, longest).await?),
            (_, None) => return Err(AssignmentError::NoModel),
        };
        Ok(Needs { prepared, model })
    }

    fn work(
        &self,
        shared: &Shared,
        job: Job,
        session: &mut Option<Box<Session>>,
        needs: Needs,
        watch: &Watch,
    ) -> Result<Ready, AssignmentError> {
        let session = match session {
            Some(session) => session,
            None => {
                let name = &shared.membership.name;
                let opened = Session::open(&shared.settings, job, self.task.manifest, name)?;
                session.insert(Box::new(opened))
            }
        };
        let Some(model) = needs.model else {
            return self.ready(shared, session.prepare(&self.task)?, None);
        };
        if !session.is_fitted_to(self.task.prepared) {
            let folder = shared.folder.path();
            session.fit(needs.prepared.as_ref(), &shared.settings, folder)?;
        }
        let layout = session
            .layout()
            .cloned()
            .ok_or(SessionError::OtherPrepared)?;
        if self.layout != Some(layout.digest()) {
            return Err(SessionError::OtherLayout.into());
        }
        let model = parameters(&layout, &model)?;
        let state = match self.task.kind {
            TaskKind::Prepare(_) => ClientState::default(),
            TaskKind::Train(_) | TaskKind::Evaluate(_) => shared.states.load(&self.run)?,
        };
        let mut progress = watch;
        let done = session.perform(&self.task, &model, state, &mut progress)?;
        self.ready(shared, done, Some(&layout))
    }

    fn ready(
        &self,
        shared: &Shared,
        done: Done,
        layout: Option<&Layout>,
    ) -> Result<Ready, AssignmentError> {
        if let Some(state) = &done.state {
            shared.states.stage(&self.run, self.task.id, state)?;
        }
        let parts = parts(&self.task, &done.payload, layout);
        let bytes = Bytes::from(done.payload.into_bytes());
        Ok(Ready {
            digest: Digest::of(&bytes),
            bytes,
            parts,
        })
    }
}

/// What a task needs from the server.
struct Needs {
    prepared: Option<Prepared>,
    model: Option<Vec<u8>>,
}

/// A model from its blob: four bytes a value, little-endian.
pub(crate) fn parameters(layout: &Arc<Layout>, bytes: &[u8]) -> Result<Parameters, SessionError> {
    let (values, _) = bytes.as_chunks::<4>();
    let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes));
    Ok(Parameters::new(Arc::clone(layout), values.collect())?)
}

impl Watch {
    /// Steps done, of how many.
    pub(crate) fn steps(&self) -> (u64, u64) {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        (load(&self.done), load(&self.total))
    }

    /// Ends the work at its next step, or the wait for what it needs.
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
        self.ended.notify_one();
    }

    /// Waits until somebody ends it. For one waiter.
    async fn cancelled(&self) {
        while !self.is_cancelled() {
            self.ended.notified().await;
        }
    }

    /// Whether somebody ended it.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

impl Progress for &Watch {
    fn step(&mut self, done: u64, total: u64) -> Flow {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        match self.is_cancelled() {
            true => Flow::Cancel,
            false => Flow::Continue,
        }
    }
}

impl AssignmentError {
    /// Whether the fault is in what the server gave: such a sentence holds nothing of the data.
    pub(crate) fn is_servers(&self) -> bool {
        match self {
            Self::Call(_) | Self::NoModel => true,
            Self::Session(error) => matches!(
                error,
                SessionError::OtherQuestions
                    | SessionError::OtherTask(_)
                    | SessionError::OtherPrepared
            ),
            Self::State(_) | Self::Panicked(_) => false,
        }
    }

    /// All that the server learns.
    pub(crate) fn failure(&self) -> TaskFailure {
        let code = match self {
            Self::Session(error) => return error.failure(),
            Self::Call(_) | Self::NoModel => FailureCode::Model,
            Self::State(_) => FailureCode::State,
            Self::Panicked(_) => FailureCode::Trainer,
        };
        failure(code)
    }
}

/// A failure of which there is nothing more to say.
pub(crate) fn failure(code: FailureCode) -> TaskFailure {
    TaskFailure {
        code: code.into(),
        step: 0,
        index: 0,
    }
}

/// The word of a failure's code, for the record.
pub(crate) fn failure_word(code: FailureCode) -> &'static str {
    match code {
        FailureCode::Unspecified => "unspecified",
        FailureCode::Diverged => "diverged",
        FailureCode::NoRows => "no_rows",
        FailureCode::OutOfRange => "out_of_range",
        FailureCode::Trainer => "trainer",
        FailureCode::State => "state",
        FailureCode::Cohort => "cohort",
        FailureCode::Model => "model",
        FailureCode::Data => "data",
        FailureCode::Cancelled => "cancelled",
        FailureCode::Unsupported => "unsupported",
        FailureCode::Denied => "denied",
        FailureCode::Layout => "layout",
    }
}
