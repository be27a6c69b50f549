//! A run on a server as it happens: the events of a simulation, and why nothing happens when nothing does.

use std::pin::pin;
use std::time::{Duration, Instant};

use commonweal_disk::observer::{Event, Observer};
use commonweal_wire::control::{Events, Explanation, RunState};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use crate::console::Console;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::remote::{Remote, RemoteError};

/// Time without progress after which the server is asked why.
const SILENCE: Duration = Duration::from_secs(30);

/// Time between two looks at Ctrl-C and at whatever else may end the watching.
const LOOK: Duration = Duration::from_millis(50);

/// How long a server that went away is called again: it may be starting afresh.
const ABSENCE: Duration = Duration::from_secs(120);

/// Time between two calls to a server that is away.
const AGAIN: Duration = Duration::from_millis(500);

/// How the watching ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    /// The run is over.
    Over(RunState),
    /// Ctrl-C; the run goes on.
    Left,
}

/// What is watched, and how.
pub(crate) struct Following<'a> {
    /// The server.
    pub(crate) remote: &'a Remote,
    /// The run.
    pub(crate) run: &'a str,
    /// Where words go.
    pub(crate) console: &'a Console,
    /// Ctrl-C.
    pub(crate) interrupt: &'a Interrupt,
}

/// The `waiting` event: why nothing happens.
#[derive(Serialize)]
struct Waiting<'a> {
    run: &'a str,
    #[serde(flatten)]
    explanation: &'a Explanation,
}

impl Following<'_> {
    /// Shows the run on `progress` until it is over. `check` is asked many times a second whether to go on;
    /// what `change` makes of an event is shown, if anything.
    ///
    /// # Errors
    /// [`Failure::Remote`] if the server says no or stays away; what `check` says.
    pub(crate) fn until_over(
        &self,
        progress: &mut Progress<'_>,
        mut check: impl FnMut() -> Result<(), Failure>,
        mut change: impl FnMut(Event) -> Option<Event>,
    ) -> Result<Watched, Failure> {
        self.remote.wait(async {
            let mut after = 0;
            let mut silence = Silence::since(Instant::now());
            loop {
                let Some(news) = self.news(after, &mut silence, progress, &mut check).await? else {
                    return Ok(Watched::Left);
                };
                let is_all = news.events.is_empty();
                for numbered in news.events {
                    after = after.max(numbered.number);
                    // An event of a later version is none that this one could show.
                    if let Ok(event) = serde_json::from_value::<Event>(numbered.event) {
                        silence = Silence::since(Instant::now());
                        if let Some(event) = change(event) {
                            progress.event(&event);
                        }
                    }
                }
                // Only then: an answer holds a page of events at most.
                if is_all && news.state.is_over() {
                    return Ok(Watched::Over(news.state));
                }
            }
        })
    }

    /// The next answer of the server; none on Ctrl-C.
    async fn news(
        &self,
        after: u64,
        silence: &mut Silence,
        progress: &Progress<'_>,
        check: &mut impl FnMut() -> Result<(), Failure>,
    ) -> Result<Option<Events>, Failure> {
        let mut answer = pin!(self.called(after, progress));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                answer = &mut answer => return Ok(Some(answer?)),
                _ = look.tick() => {}
            }
            check()?;
            if self.interrupt.is_raised() {
                return Ok(None);
            }
            if silence.is_long(Instant::now()) {
                self.explain(silence, progress).await;
            }
        }
    }

    /// Calls the server until it answers, or has been away for long.
    async fn called(&self, after: u64, progress: &Progress<'_>) -> Result<Events, RemoteError> {
        let mut away: Option<Instant> = None;
        loop {
            match self.remote.events(self.run, after).await {
                Err(error) if error.is_passing() => {
                    match away {
                        None => progress.say(&format!("{error}; trying again")),
                        Some(since) if since.elapsed() > ABSENCE => return Err(error),
                        Some(_) => {}
                    }
                    away.get_or_insert_with(Instant::now);
                    tokio::time::sleep(AGAIN).await;
                }
                answer => return answer,
            }
        }
    }

    /// Says why nothing happens, once for each reason.
    async fn explain(&self, silence: &mut Silence, progress: &Progress<'_>) {
        silence.asked_at = Instant::now();
        // A server that does not answer is told of by whoever waits for events.
        let Ok(explanation) = self.remote.explanation(self.run).await else {
            return;
        };
        if silence.said.as_ref() == Some(&explanation.summary) {
            return;
        }
        let (run, explanation) = (self.run, explanation);
        self.console.event(
            "waiting",
            &Waiting {
                run,
                explanation: &explanation,
            },
        );
        progress.say(&format!("waiting: {}", explanation.summary));
        silence.said = Some(explanation.summary);
    }
}

/// How long nothing has happened, and what was said of it.
struct Silence {
    asked_at: Instant,
    said: Option<String>,
}

impl Silence {
    fn since(now: Instant) -> Self {
        Self {
            asked_at: now,
            said: None,
        }
    }

    fn is_long(&self, now: Instant) -> bool {
        now.duration_since(self.asked_at) >= SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_long_after_half_a_minute_and_not_before() {
        let start = Instant::now();
        let mut silence = Silence::since(start);
        assert!(!silence.is_long(start + SILENCE - Duration::from_nanos(1)));
        assert!(silence.is_long(start + Duration::from_secs(30)));
        // Asked then, it is not asked again before as much time has passed.
        silence.asked_at = start + SILENCE;
        assert!(!silence.is_long(start + SILENCE));
        assert!(silence.is_long(start + 2 * SILENCE));
    }
}
