//! The poll: always one open, and after a failure another one in a while.

use std::time::Duration;

use commonweal_wire::{RefusalCode, path, proto, task_id};

use super::end::of_refusal;
use super::{Agent, AgentError, Event};
use crate::clock::now_ms;
use crate::connection::CallError;
use crate::statement::statement;
use crate::status::Last;

/// A server answers after 25 seconds at most; somewhat later the connection must be broken.
const PATIENCE: Duration = Duration::from_secs(40);

impl Agent {
    /// Opens a poll if none is open, unless the node rests.
    pub(super) fn keep_polling(&mut self) {
        if self.poll.is_some() {
            return;
        }
        let is_resting = self.is_resting();
        if is_resting && self.is_idle() {
            let hours = self.shared.settings.hours.to_string();
            self.say("resting", format!("it works from {hours}"));
            return;
        }
        let request = proto::PollRequest {
            mailbox: self.mailbox.clone(),
            taken: self.taken,
            statement: (!self.has_stated).then(|| statement(&self.shared.settings)),
            working: self.working(),
            is_leaving: self.is_leaving || is_resting,
        };
        let wait = self.wait;
        let shared = self.shared.clone();
        let handle = self.jobs.spawn(async move {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            Event::Polled(shared.connection.post(path::POLL, &request, PATIENCE).await)
        });
        self.poll = Some(handle);
    }

    /// Ends the open poll: the next one says something else.
    pub(super) fn drop_poll(&mut self) {
        if let Some(poll) = self.poll.take() {
            poll.abort();
        }
    }

    fn working(&self) -> Option<proto::Working> {
        let current = self.current.as_ref()?;
        let (done, total) = current.watch.steps();
        Some(proto::Working {
            run: current.run.clone(),
            task: Some(task_id(current.task)),
            done,
            total,
        })
    }

    pub(super) fn polled(
        &mut self,
        result: Result<proto::PollAnswer, CallError>,
    ) -> Result<(), AgentError> {
        self.poll = None;
        match result {
            Ok(answer) => {
                self.connected();
                self.take(answer)
            }
            Err(error) => match of_refusal(&error) {
                Some(end) => Err(end),
                None => {
                    self.complain(&error);
                    Ok(())
                }
            },
        }
    }

    fn connected(&mut self) {
        if self.backoff.is_failing() {
            // Transfers may hang on connections that are no more.
            self.shared.reconnected.notify_waiters();
        }
        if self.backoff.is_failing() || !self.has_stated {
            tracing::info!(server = self.shared.connection.url(), "connected");
        }
        self.backoff.reset();
        self.wait = Duration::ZERO;
        self.complaint.clear();
        self.has_stated = true;
        self.say("connected", String::new());
    }

    fn complain(&mut self, error: &CallError) {
        let what = error.to_string();
        self.wait = self.backoff.next();
        let state = match error.code() {
            Some(RefusalCode::Unapproved) => "waiting_for_approval",
            _ => "connecting",
        };
        // Said once, not once a try.
        if what != self.complaint {
            match state {
                "waiting_for_approval" => tracing::warn!(
                    fingerprint = %self.shared.connection.key().public().id(),
                    "an administrator has not approved this node yet; it waits"
                ),
                _ => tracing::warn!("{what}; tries again"),
            }
            self.complaint.clone_from(&what);
        }
        self.say(state, what);
    }

    /// Has something to say for `node status`: at once if the state is another, else at the next tick.
    pub(super) fn say(&mut self, state: &str, what: String) {
        let is_news = self
            .saying
            .as_ref()
            .is_none_or(|last| last.state != state || last.what != what);
        self.saying = Some(Last {
            at_ms: 0,
            state: state.to_owned(),
            what,
            working_on: None,
            not_done: None,
            clock_ahead_ms: 0,
        });
        if is_news {
            self.leave_word();
        }
    }

    /// Leaves word, if it is news.
    pub(super) fn leave_word(&mut self) {
        let Some(saying) = &self.saying else {
            return;
        };
        let current = self.current.as_ref();
        let mut last = Last {
            working_on: current.map(|current| format!("{} {}", current.run, current.task)),
            not_done: self.not_done.clone(),
            clock_ahead_ms: self.shared.connection.ahead_ms(),
            ..saying.clone()
        };
        if self.said.as_ref() == Some(&last) {
            return;
        }
        self.said = Some(last.clone());
        last.at_ms = now_ms();
        if let Err(error) = crate::status::write(&self.shared.folder, &last) {
            tracing::warn!("the node's status cannot be written: {error}");
        }
    }
}
