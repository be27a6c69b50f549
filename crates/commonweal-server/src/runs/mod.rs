//! All runs of a server: submitted by researchers, worked on by nodes, each with a task of its own.
//!
//! The handle that the door calls. Whatever is asked of a run that goes on is answered by its task; of a run that is
//! over, by the store.

mod explain;
mod farewell;
mod files;
mod folding;
mod foundation;
mod history;
mod info;
mod message;
mod model_parts;
mod pace;
mod population;
mod rounds;
mod run;
mod shared;
mod submit;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use commonweal_core::{ClientName, Payload, Step, TaskId};
use commonweal_wire::control::{ApiError, Explanation, RunInfo};
use commonweal_wire::proto;
use commonweal_wire::{KeyId, RefusalCode};
use tokio::sync::oneshot;

pub use files::{Content, File};
pub use message::{Expected, Refused, Reported};
pub use pace::Patience;

use message::Message;
use run::Actor;
use shared::Shared;

use crate::config::Retention;
use crate::exchange::Exchange;
use crate::store::{Level, Note, Store, StoreError};

/// How long [`Runs::explain`] waits for a run that is busy with a commit.
const BUSY: Duration = Duration::from_secs(10);

/// The runs of a server. Cloning costs a reference count.
#[derive(Clone)]
pub struct Runs(Arc<Shared>);

/// How runs are driven.
#[derive(Debug, Clone, Copy)]
pub struct RunsConfig {
    /// Floors of all waiting.
    pub patience: Patience,
    /// Threads that fold the reports of one round at the same time.
    pub workers: usize,
    /// Which models of a run are kept.
    pub retention: Retention,
}

impl Default for RunsConfig {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            patience: Patience::default(),
            workers,
            retention: Retention::default(),
        }
    }
}

impl Runs {
    /// Goes on with every run that is not over, each from its last commit.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn start(
        store: Store,
        exchange: Exchange,
        config: RunsConfig,
    ) -> Result<Self, StoreError> {
        let shared = Shared::new(store, exchange, config);
        let runs = Self(Arc::new(shared));
        farewell::say_again(&runs.0).await?;
        for record in runs.0.store.runs().unfinished().await? {
            let id = record.id.clone();
            if let Err(error) = Actor::begin(&runs.0, record) {
                runs.0.end(&id);
                let lines = runs.0.store.lines();
                let now_ms = runs.0.exchange.now_ms();
                tracing::error!(run = %id, %error, "a run does not go on");
                lines
                    .append(&id, now_ms, Level::Error, &error.to_string())
                    .await?;
            }
        }
        Ok(runs)
    }

    /// Lets every run finish what it is writing, and stops. They go on when the server starts again.
    pub async fn close(&self) {
        self.0.closing.send_replace(true);
        for live in self.0.all() {
            live.stop().await;
        }
    }

    /// Takes a node's verdict on a run, which it signed with `key`.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn verdict(
        &self,
        node: &ClientName,
        key: KeyId,
        verdict: proto::Verdict,
    ) -> Result<(), Refused> {
        let (run, node) = (verdict.run.clone(), node.clone());
        self.ask(&run, |answer| Message::Verdict {
            node,
            key,
            verdict,
            answer,
        })
        .await
    }

    /// A node could not do its task.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn failure(
        &self,
        node: &ClientName,
        run: &str,
        task: TaskId,
        failure: proto::TaskFailure,
    ) -> Result<(), Refused> {
        let node = node.clone();
        self.ask(run, |answer| Message::Failure {
            node,
            task,
            failure,
            answer,
        })
        .await
    }

    /// Whether a node's report would be taken, before any byte of it is read.
    ///
    /// # Errors
    /// [`Refused`]: late, counted already, not of the cohort.
    pub async fn expects(
        &self,
        node: &ClientName,
        run: &str,
        task: TaskId,
        step: Step,
    ) -> Result<Expected, Refused> {
        let node = node.clone();
        self.ask(run, |answer| Message::Expects {
            node,
            task,
            step,
            answer,
        })
        .await
    }

    /// Takes a whole report whose digest was verified; answers with the accumulator once it is added. Until then its
    /// memory is in use.
    ///
    /// # Errors
    /// [`Refused`]: nothing of it was added.
    pub async fn report(
        &self,
        node: &ClientName,
        run: &str,
        task: TaskId,
        step: Step,
        payload: Payload,
    ) -> Result<String, Refused> {
        let node = node.clone();
        self.ask(run, |answer| Message::Report {
            node,
            task,
            step,
            payload,
            answer,
        })
        .await
    }

    /// What has become of a node's report.
    ///
    /// # Errors
    /// [`Refused`] for a run that is unknown.
    pub async fn reported(
        &self,
        node: &ClientName,
        run: &str,
        task: TaskId,
    ) -> Result<Reported, Refused> {
        if let Some(live) = self.0.live(run) {
            let (node, (answer, asked)) = (node.clone(), oneshot::channel());
            // A run that ends meanwhile has left its answer in the store.
            let _ = live.inbox.send(Message::Reported { node, task, answer });
            if let Ok(reported) = asked.await {
                return reported;
            }
        }
        let counted = self.0.store.commits().counts(run, task, node).await;
        Ok(Reported {
            accumulator: String::new(),
            is_counted: counted.map_err(|fault| unavailable(&fault))?,
        })
    }

    /// Why a run is waiting.
    ///
    /// # Errors
    /// [`ApiError`] for a run that is unknown.
    pub async fn explain(&self, id: &str) -> Result<Explanation, ApiError> {
        if let Some(live) = self.0.live(id) {
            let (answer, asked) = oneshot::channel();
            // A run that ends meanwhile is explained as one that is over.
            let _ = live.inbox.send(Message::Explain { answer });
            if let Ok(Ok(explained)) = tokio::time::timeout(BUSY, asked).await {
                return Ok(explained);
            }
        }
        let info = self.info(id).await?;
        let state = format!("{:?}", info.state).to_lowercase();
        let summary = match &info.reason {
            Some(reason) => format!("{state}: {reason}"),
            None => state,
        };
        let nodes = info.nodes.unwrap_or(0);
        Ok(Explanation {
            summary,
            waits_for: None,
            done: nodes,
            of: nodes,
            minimum: 0,
            nodes: Vec::new(),
        })
    }

    /// Ends a run.
    ///
    /// # Errors
    /// [`ApiError`] for a run that is unknown or over.
    pub async fn cancel(&self, id: &str, by: &str) -> Result<RunInfo, ApiError> {
        match self.0.live(id) {
            None => {
                let info = self.info(id).await?;
                let message = format!("{id} is over already: there is nothing to cancel");
                match info.state.is_over() {
                    true => Err(error("over", message)),
                    false => Err(error(
                        "unavailable",
                        format!("{id} does not go on; see its log"),
                    )),
                }
            }
            Some(live) => {
                let mut moved = live.page.moved.subscribe();
                let by = by.to_owned();
                live.page.cancelled.send_replace(Some(by.clone()));
                // A run that ends meanwhile needs no word.
                let _ = live.inbox.send(Message::Cancel { by });
                while self.0.live(id).is_some() {
                    if let Some(why) = live.page.unstored() {
                        let message = format!(
                            "{id} does nothing more, and is over as soon as that can be written down: {why}"
                        );
                        return Err(error("unavailable", message));
                    }
                    if moved.changed().await.is_err() {
                        break;
                    }
                }
                self.info(id).await
            }
        }
    }

    /// Goes on with a run that failed or was cancelled, from its last commit.
    ///
    /// # Errors
    /// [`ApiError`] for a run that is unknown, goes on, or is finished.
    pub async fn resume(&self, id: &str) -> Result<RunInfo, ApiError> {
        use commonweal_wire::control::RunState;
        let record = self.record(id).await?;
        match record.state {
            RunState::Failed | RunState::Cancelled => {}
            RunState::Finished => {
                return Err(error(
                    "finished",
                    format!("{id} is finished: submit its job again"),
                ));
            }
            _ => {
                return Err(error(
                    "goes_on",
                    format!("{id} goes on: there is nothing to resume"),
                ));
            }
        }
        let store = &self.0.store;
        let members = store
            .runs()
            .members(id)
            .await
            .map_err(|fault| of_store(&fault))?;
        let state = match (members.is_empty(), record.prepared) {
            (true, _) => RunState::Waiting,
            (false, None) => RunState::Preparing,
            (false, Some(_)) => RunState::Running,
        };
        let note = Note {
            at_ms: self.0.exchange.now_ms(),
            events: &[],
        };
        let set = store.runs().set_state(id, state, None, note).await;
        set.map_err(|fault| of_store(&fault))?;
        let record = self.record(id).await?;
        Actor::begin(&self.0, record).map_err(|fault| error("job", fault.to_string()))?;
        self.info(id).await
    }

    /// Asks the task of a run, which drops the question if it ends.
    async fn ask<T>(
        &self,
        id: &str,
        message: impl FnOnce(oneshot::Sender<Result<T, Refused>>) -> Message,
    ) -> Result<T, Refused> {
        if let Some(live) = self.0.live(id) {
            let (answer, asked) = oneshot::channel();
            let is_sent = live.inbox.send(message(answer)).is_ok();
            if let Ok(answered) = asked.await
                && is_sent
            {
                return answered;
            }
        }
        match self.0.store.runs().find(id).await {
            Ok(record) if record.state.is_over() => Err(Refused::new(
                RefusalCode::Late,
                format!("the run {id} is over"),
            )),
            Ok(_) => Err(Refused::later()),
            Err(StoreError::Missing { .. }) => {
                let message = "the server has no such run";
                Err(Refused::new(RefusalCode::UnknownRun, message))
            }
            Err(error) => Err(unavailable(&error)),
        }
    }
}

fn unavailable(fault: &StoreError) -> Refused {
    tracing::error!(error = %fault, "the store refuses");
    Refused::new(
        RefusalCode::Unavailable,
        "the server cannot look it up: try again",
    )
}

fn error(code: &str, message: impl Into<String>) -> ApiError {
    ApiError {
        code: code.to_owned(),
        message: message.into(),
    }
}

fn of_store(fault: &StoreError) -> ApiError {
    let code = match fault {
        StoreError::Missing { .. } => "unknown_run",
        _ => "unavailable",
    };
    error(code, fault.to_string())
}
