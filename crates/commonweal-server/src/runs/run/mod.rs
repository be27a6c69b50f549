//! The task of one run: from the first offer to the last round, alone in charge of all that the run is.
//!
//! It hears of nodes and requests by channels and writes everything that must not be forgotten to the store before it
//! tells anybody. What it holds besides follows from the store: a task that is begun again goes on.

mod commit;
mod drive;
mod finish;
mod gather;
mod look;
mod prepare;
mod rounds;
mod verdict;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use commonweal_core::job::{Job, JobErrors, Manifest};
use commonweal_core::{ClientName, Digest, Entropy, Population, Stage, TaskId, Time};
use commonweal_disk::observer::Event;
use commonweal_disk::{EntropySource, NoEntropy};
use commonweal_wire::control::RunState;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::files;
use super::history::{Entry, Progress};
use super::message::{Message, Refused, Reported};
use super::pace::{Pace, Rests};
use super::population::Candidates;
use super::shared::{Live, Page, Shared};
use super::turns::{Bell, Order};
use crate::exchange::NodeEvent;
use crate::store::{Level, Note, Run as Record, StoreError};

/// How often a run looks at nodes of which it hears nothing.
const TICK: Duration = Duration::from_secs(1);
/// How long a run waits before it tries again to write to a disk that refused.
const RETRY: Duration = Duration::from_secs(2);

/// A run's task.
pub(super) struct Actor {
    shared: Arc<Shared>,
    record: Record,
    order: Order,
    job: Job,
    manifest: Manifest,
    /// The file of the model that was submitted with the job.
    initial: Option<Digest>,
    candidates: Candidates,
    population: Option<Population>,
    pace: Pace,
    rests: Rests,
    entropy: EntropySource,
    /// The last task that was closed.
    closed: Option<TaskId>,
    /// Of each stage the last task that was closed, and who was counted in it, in order.
    settlements: BTreeMap<Stage, (TaskId, Vec<ClientName>)>,
    clock: RunClock,
    page: Arc<Page>,
    inbox: mpsc::UnboundedReceiver<Message>,
    /// Taken from the inbox, and to be read before what is there.
    put_back: Option<Message>,
    own: mpsc::UnboundedSender<Message>,
    nodes: mpsc::UnboundedReceiver<NodeEvent>,
    bell: mpsc::UnboundedSender<Bell>,
    bells: mpsc::UnboundedReceiver<Bell>,
    ticks: Interval,
}

/// The run's time, by the server's clock.
#[derive(Debug, Clone, Copy)]
struct RunClock {
    base: Time,
    began_ms: u64,
}

/// Why a run does not go on.
#[derive(Debug)]
enum Stop {
    /// Somebody wants it to.
    Cancelled(String),
    /// It cannot.
    Failed(String),
    /// The server ends.
    Stopping,
}

/// What a run's task hears.
#[derive(Debug)]
enum Input {
    Message(Message),
    Node(NodeEvent),
    Bell(Bell),
    /// Time has passed.
    Tick,
}

/// Why a stored run has no task.
#[derive(Debug, thiserror::Error)]
pub(super) enum BeginError {
    /// The job is another version's.
    #[error("the job cannot be read any more: {0}")]
    Job(#[from] JobErrors),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

impl Actor {
    /// Begins the task of a stored run, or goes on with it.
    pub(super) fn begin(shared: &Arc<Shared>, record: Record) -> Result<Live, BeginError> {
        let job = Job::parse(&record.job)?;
        let (own, inbox) = mpsc::unbounded_channel();
        let (bell, bells) = mpsc::unbounded_channel();
        let page = Arc::new(Page::new());
        let live = shared.begin(&record.id, own.clone(), Arc::clone(&page));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let actor = Self {
            order: shared.order(),
            manifest: Manifest::of(&job),
            initial: None,
            candidates: Candidates::default(),
            population: None,
            pace: Pace::new(shared.patience, job.deployment.reproducible),
            rests: Rests::new(shared.patience),
            entropy: EntropySource::from_system()?,
            closed: None,
            settlements: BTreeMap::new(),
            clock: RunClock {
                base: Time::START,
                began_ms: shared.exchange.now_ms(),
            },
            page,
            inbox,
            put_back: None,
            own,
            nodes: shared.exchange.events(),
            bell,
            bells,
            ticks,
            shared: Arc::clone(shared),
            record,
            job,
        };
        live.runs_as(tokio::spawn(actor.live()));
        Ok(live)
    }

    async fn live(mut self) {
        let id = self.record.id.clone();
        let ended = self.go_on().await;
        self.shared.turns.leave(self.order);
        match ended {
            Ok(()) | Err(Stop::Stopping) => {}
            Err(Stop::Failed(reason)) => self.end(RunState::Failed, &reason).await,
            Err(Stop::Cancelled(by)) => {
                let reason = format!("cancelled by {by}");
                self.end(RunState::Cancelled, &reason).await;
            }
        }
        self.shared.end(&id);
    }

    /// From wherever the store says that the run is, to its end.
    async fn go_on(&mut self) -> Result<(), Stop> {
        self.recall().await?;
        if self.population.is_none() {
            self.gather().await?;
        }
        let foundation = self.found().await?;
        self.rounds(foundation).await
    }

    /// Takes from the store what was said and who takes part.
    async fn recall(&mut self) -> Result<(), Stop> {
        let id = self.record.id.clone();
        self.initial = self
            .insist(|| async { self.shared.store.files().find(&id, files::INITIAL).await })
            .await?;
        let verdicts = self
            .insist(|| async { self.shared.store.verdicts().list(&id).await })
            .await?;
        for verdict in verdicts {
            self.candidates.said(verdict);
        }
        self.refresh_nodes().await?;
        let commits = self
            .insist(|| async { self.shared.store.commits().last_of_stages(&id).await })
            .await?;
        for commit in commits {
            self.closed = Some(commit.task);
            let settled = (commit.task, commit.counted);
            self.settlements.insert(commit.task.stage, settled);
        }
        let members = self
            .insist(|| async { self.shared.store.runs().members(&id).await })
            .await?;
        let entries = self
            .insist(|| async { self.shared.store.commits().history(&id).await })
            .await?;
        let progress = Progress::of(&self.job, &Entry::read(entries), members.len());
        *self.page.progress() = Some(progress);
        if !members.is_empty() {
            let population = Population::named(members);
            self.population = Some(population.map_err(|error| Stop::Failed(error.to_string()))?);
        }
        Ok(())
    }

    /// Waits for the next thing that happens, at most until `deadline`.
    async fn input(&mut self, deadline: Option<Time>) -> Input {
        let until = deadline.map(|deadline| {
            let left_ms = deadline.ms.saturating_sub(self.now().ms);
            Instant::now() + Duration::from_millis(left_ms)
        });
        let due = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = due => Input::Tick,
            _ = self.ticks.tick() => Input::Tick,
            Some(bell) = self.bells.recv() => Input::Bell(bell),
            Some(event) = self.nodes.recv() => Input::Node(event),
            Some(message) = next(&mut self.put_back, &mut self.inbox) => Input::Message(message),
        }
    }

    /// Answers a message that no open round is concerned with.
    async fn attend(&mut self, message: Message) -> Result<(), Stop> {
        match message {
            Message::Verdict {
                node,
                key,
                verdict,
                answer,
            } => {
                self.hear_verdicts(node, key, verdict, answer).await?;
                self.expect_enough()?;
            }
            Message::Failure { task, answer, .. } => drop(answer.send(Err(self.past(task)))),
            Message::Expects { task, answer, .. } => drop(answer.send(Err(self.past(task)))),
            Message::Report { task, answer, .. } => drop(answer.send(Err(self.past(task)))),
            Message::Reported { node, task, answer } => {
                let reported = self.reported(&node, task).await?;
                let _ = answer.send(Ok(reported));
            }
            // Of a round that was closed without it.
            Message::Folded { .. } => {}
            Message::Explain { answer } => drop(answer.send(self.explain_idle())),
            Message::Cancel { by } => return Err(Stop::Cancelled(by)),
            Message::Stop => return Err(Stop::Stopping),
        }
        Ok(())
    }

    /// What is said about a task that is not open: it is over, or not there yet.
    fn past(&self, task: TaskId) -> Refused {
        match self.closed {
            Some(closed) if place(task) <= place(closed) => Refused::late(),
            _ => Refused::later(),
        }
    }

    /// What has become of a node's report on a task that is not open.
    async fn reported(&mut self, node: &ClientName, task: TaskId) -> Result<Reported, Stop> {
        let id = self.record.id.clone();
        let is_counted = self
            .insist(|| async { self.shared.store.commits().counts(&id, task, node).await })
            .await?;
        Ok(Reported {
            accumulator: String::new(),
            is_counted,
        })
    }

    /// Does something with the store until it succeeds: a full disk or a lock that another process holds stops the run
    /// for that long and loses nothing. Who cancels the run is heard meanwhile.
    async fn insist<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, Stop>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut cancelled = self.page.cancelled.subscribe();
        let given_up = async {
            let by = cancelled.wait_for(Option::is_some).await;
            let by = by.ok().and_then(|by| by.clone());
            match by {
                Some(by) => Stop::Cancelled(by),
                // The page is this task's own: its other end is never gone.
                None => std::future::pending().await,
            }
        };
        self.insist_unless(given_up, attempt).await
    }

    /// As [`insist`](Self::insist), unless there is a reason to give up between two attempts.
    async fn insist_unless<T, F>(
        &self,
        given_up: impl Future<Output = Stop>,
        attempt: impl Fn() -> F,
    ) -> Result<T, Stop>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut given_up = std::pin::pin!(given_up);
        let mut closing = self.shared.closing.subscribe();
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(StoreError::Stopped) => return Err(Stop::Stopping),
                Err(
                    error @ (StoreError::Missing { .. }
                    | StoreError::Damaged { .. }
                    | StoreError::NoBlob { .. }
                    | StoreError::Committed { .. }),
                ) => return Err(Stop::Failed(error.to_string())),
                Err(error) => error,
            };
            tracing::error!(run = %self.record.id, %error, "the store refuses; trying again");
            tokio::select! {
                _ = closing.wait_for(|&is_closing| is_closing) => return Err(Stop::Stopping),
                stop = &mut given_up => return Err(stop),
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    /// Gives the run further files, then its next state with what is told of it: who sees the state finds the files.
    async fn enter(
        &mut self,
        state: RunState,
        files: [(&'static str, Digest); 2],
        events: &[Event],
    ) -> Result<(), Stop> {
        let id = self.record.id.clone();
        for (name, digest) in files {
            self.insist(|| async { self.shared.store.files().set(&id, name, &digest).await })
                .await?;
        }
        let events = json(events);
        let note = Note {
            at_ms: self.shared.exchange.now_ms(),
            events: &events,
        };
        self.insist(|| async {
            let runs = self.shared.store.runs();
            runs.set_state(&id, state, None, note).await
        })
        .await?;
        self.record.state = state;
        Ok(())
    }

    /// Writes a line of the run's log.
    async fn log(&self, level: Level, text: &str) {
        let run = &self.record.id;
        match level {
            Level::Info => tracing::info!(%run, "{text}"),
            Level::Warn => tracing::warn!(%run, "{text}"),
            Level::Error => tracing::error!(%run, "{text}"),
        }
        let at_ms = self.shared.exchange.now_ms();
        let lines = self.shared.store.lines();
        if let Err(error) = lines.append(run, at_ms, level, text).await {
            tracing::warn!(%run, %error, "a line of the log is lost");
        }
    }

    /// The run's time.
    fn now(&self) -> Time {
        let passed = self
            .shared
            .exchange
            .now_ms()
            .saturating_sub(self.clock.began_ms);
        self.clock.base.after_ms(passed)
    }

    /// Lets the run's time go on from `base`.
    fn set_time(&mut self, base: Time) {
        self.clock = RunClock {
            base,
            began_ms: self.shared.exchange.now_ms(),
        };
    }

    fn draw(&mut self) -> Entropy {
        self.entropy.draw()
    }
}

/// The next message: one that was put back, or the inbox's first.
async fn next(
    put_back: &mut Option<Message>,
    inbox: &mut mpsc::UnboundedReceiver<Message>,
) -> Option<Message> {
    match put_back.take() {
        Some(message) => Some(message),
        None => inbox.recv().await,
    }
}

/// Tasks in the order in which a run gives them.
fn place(task: TaskId) -> (u64, Stage, u32) {
    (task.round, task.stage, task.attempt)
}

/// Events as they are stored.
fn json(events: &[Event]) -> Vec<serde_json::Value> {
    // An event is names, texts and numbers, which JSON can always write.
    let written = events.iter().map(serde_json::to_value);
    written.filter_map(Result::ok).collect()
}
