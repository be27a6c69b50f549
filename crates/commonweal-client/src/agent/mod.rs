//! A running node: waits for instructions, works on one task at a time, and sends what comes of it.
//!
//! Everything happens on one thread but what computes or reads data. A poll is open all the while: it is how the server
//! knows that the node is alive, and how it cancels.

mod consent;
mod end;
mod instructions;
mod polling;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use commonweal_core::TaskId;
use commonweal_core::job::Job;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::task::{AbortHandle, JoinSet};

pub use end::AgentError;

use crate::assignment::{Assignment, AssignmentError, Ready, Watch};
use crate::backoff::Backoff;
use crate::connection::CallError;
use crate::hours::local_zone;
use crate::request::{Decision, Request};
use crate::session::Session;
use crate::shared::Shared;
use crate::status::Last;
use crate::upload::{Fate, Upload};
use crate::verdict::Misfit;

/// The node's process.
pub(crate) struct Agent {
    shared: Arc<Shared>,
    /// The mailbox that `taken` counts in; empty before the first answer.
    mailbox: String,
    taken: u64,
    has_stated: bool,
    poll: Option<AbortHandle>,
    backoff: Backoff,
    /// Before the next poll.
    wait: Duration,
    complaint: String,
    queue: VecDeque<Assignment>,
    current: Option<Current>,
    /// Runs whose data are open, the last used at the end.
    sessions: Vec<(String, Box<Session>)>,
    kept: BTreeMap<(String, TaskId), Kept>,
    runs: BTreeMap<String, Run>,
    /// Manifests of runs that ask, on their way.
    offers: BTreeMap<String, AbortHandle>,
    requests_seen: Option<SystemTime>,
    jobs: JoinSet<Event>,
    /// Calls that are under way and that the node must not end without.
    unfinished: usize,
    zone: TimeZone,
    is_leaving: bool,
    saying: Option<Last>,
    /// The last task that was not done, and why.
    not_done: Option<String>,
    /// What was written of it.
    said: Option<Last>,
}

/// The task that is being worked on.
struct Current {
    run: String,
    task: TaskId,
    watch: Arc<Watch>,
    accumulator: String,
}

/// A report that is kept until its round is settled.
struct Kept {
    upload: Upload,
    /// The sum that it is for, or in.
    accumulator: String,
    /// Whether it is in that sum.
    is_counted: bool,
    sending: Option<AbortHandle>,
}

/// What is known of a run that has asked.
struct Run {
    request: Request,
    job: Arc<Job>,
    /// What the server was told last.
    told: Option<Decision>,
    is_judging: bool,
}

/// What comes to the agent's ear.
enum Event {
    Polled(Result<commonweal_wire::proto::PollAnswer, CallError>),
    /// A manifest has come, or not.
    Offered(Box<consent::Offered>),
    /// The data of an approved run were opened, or do not serve.
    Opened {
        run: String,
        decision: Decision,
        result: Result<Box<Session>, Misfit>,
    },
    /// The server was told.
    Told {
        run: String,
        decision: Decision,
        result: Result<(), CallError>,
    },
    Worked {
        assignment: Box<Assignment>,
        session: Option<Box<Session>>,
        result: Result<Ready, AssignmentError>,
    },
    Uploaded {
        run: String,
        task: TaskId,
        fate: Fate,
    },
    FailureTold,
}

/// Runs whose data stay open at the same time.
const MOST_SESSIONS: usize = 4;

/// How often the agent looks at the clock and at what the owner decided.
const TICK: Duration = Duration::from_secs(1);

impl Agent {
    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            backoff: Backoff::new(shared.pace),
            shared: Arc::new(shared),
            mailbox: String::new(),
            taken: 0,
            has_stated: false,
            poll: None,
            wait: Duration::ZERO,
            complaint: String::new(),
            queue: VecDeque::new(),
            current: None,
            sessions: Vec::new(),
            kept: BTreeMap::new(),
            runs: BTreeMap::new(),
            offers: BTreeMap::new(),
            requests_seen: None,
            jobs: JoinSet::new(),
            unfinished: 0,
            zone: local_zone(),
            is_leaving: false,
            saying: None,
            not_done: None,
            said: None,
        }
    }

    /// Works until `stop` comes to an end; then finishes what is in hand, unless `stop_now` comes to an end too.
    pub(crate) async fn run(
        mut self,
        stop: impl Future<Output = ()>,
        stop_now: impl Future<Output = ()>,
    ) -> Result<(), AgentError> {
        let (mut stop, mut stop_now) = (pin!(stop), pin!(stop_now));
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.look_at_requests()?;
        let end = loop {
            self.begin_next()?;
            if self.is_leaving && self.is_free_to_go() {
                break Ok(());
            }
            self.keep_polling();
            tokio::select! {
                Some(event) = self.jobs.join_next() => match event {
                    Ok(event) => {
                        if let Err(error) = self.hear(event) {
                            break Err(error);
                        }
                    }
                    // A job that was aborted has nothing to say.
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => break Err(AgentError::Fault(error.to_string())),
                },
                _ = ticks.tick() => {
                    self.leave_word();
                    self.look_at_requests()?;
                }
                () = &mut stop, if !self.is_leaving => self.leave(),
                () = &mut stop_now, if self.is_leaving => break Ok(()),
            }
        };
        self.say(
            "stopped",
            end.as_ref()
                .err()
                .map_or_else(String::new, AgentError::to_string),
        );
        end
    }

    fn hear(&mut self, event: Event) -> Result<(), AgentError> {
        match event {
            Event::Polled(result) => self.polled(result),
            Event::Offered(offered) => self.offered(*offered),
            Event::Opened {
                run,
                decision,
                result,
            } => self.opened(&run, decision, result),
            Event::Told {
                run,
                decision,
                result,
            } => self.told(&run, decision, result),
            Event::Worked {
                assignment,
                session,
                result,
            } => self.worked(*assignment, session, result),
            Event::Uploaded { run, task, fate } => self.uploaded(&run, task, fate),
            Event::FailureTold => {
                self.unfinished -= 1;
                Ok(())
            }
        }
    }

    /// Takes no new work from now on.
    fn leave(&mut self) {
        tracing::info!("finishes what is in hand, then stops");
        self.is_leaving = true;
        self.queue.clear();
        self.drop_poll();
    }

    /// Whether the node works now, by its hours.
    fn is_resting(&self) -> bool {
        !self
            .shared
            .settings
            .hours
            .wait(Timestamp::now(), &self.zone)
            .is_zero()
    }

    /// Whether nothing is being done that ought to be finished.
    fn is_idle(&self) -> bool {
        let is_sending = self.kept.values().any(|kept| kept.sending.is_some());
        self.current.is_none() && !is_sending && self.unfinished == 0
    }

    /// Whether the node may end: nothing is in hand, or what is left is for a server that is not there.
    fn is_free_to_go(&self) -> bool {
        let has_nobody_to_tell = self.backoff.is_failing() && self.current.is_none();
        self.is_idle() || has_nobody_to_tell
    }

    /// Takes a run's open data, if they are open.
    fn take_session(&mut self, run: &str) -> Option<Box<Session>> {
        let at = self.sessions.iter().position(|(name, _)| name == run)?;
        Some(self.sessions.remove(at).1)
    }

    /// Keeps a run's open data for its next task.
    fn keep_session(&mut self, run: &str, session: Box<Session>) {
        self.take_session(run);
        if self.sessions.len() == MOST_SESSIONS {
            self.sessions.remove(0);
        }
        self.sessions.push((run.to_owned(), session));
    }
}
