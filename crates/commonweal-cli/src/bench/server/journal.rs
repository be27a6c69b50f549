//! What the scripted nodes saw, each with its time: from this all figures are made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use commonweal_core::{Stage, TaskId};
use commonweal_wire::RefusalCode;
use tokio::sync::mpsc;

use super::error::LoadError;

/// Something that a node saw.
#[derive(Debug)]
pub(super) struct Seen {
    /// When.
    pub(super) at: Instant,
    /// The node's number.
    pub(super) node: usize,
    /// What.
    pub(super) what: Sight,
}

/// What a node may see.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// It is connected, and its first poll is sent.
    Polling,
    /// It was given a task.
    Task(TaskId),
    /// It waits at the gate.
    Ready(TaskId),
    /// Its report was taken, for which it sent so many bytes.
    Reported(TaskId, usize),
    /// The round of a task is over, and counted the node or not.
    Settled(TaskId, bool),
    /// The run is over.
    Over,
    /// It was refused.
    Refused(RefusalCode),
    /// A connection broke, a task was cancelled, or an answer could not be read.
    Broken(String),
}

/// With what nodes write.
#[derive(Clone)]
pub(super) struct Pen(mpsc::UnboundedSender<Seen>);

/// What they wrote.
pub(super) struct Journal {
    incoming: mpsc::UnboundedReceiver<Seen>,
    entries: Vec<Seen>,
    trouble: BTreeMap<String, usize>,
}

impl Seen {
    /// Whether it was seen in this round of training, and is what `is` accepts.
    pub(super) fn is_in(&self, round: u64, is: impl Fn(&Sight) -> bool) -> bool {
        let task = match self.what {
            Sight::Task(task)
            | Sight::Ready(task)
            | Sight::Reported(task, _)
            | Sight::Settled(task, _) => task,
            Sight::Polling | Sight::Over | Sight::Refused(_) | Sight::Broken(_) => return false,
        };
        task.stage == Stage::Train && task.round == round && is(&self.what)
    }
}

impl Pen {
    pub(super) fn write(&self, node: usize, what: Sight) {
        let at = Instant::now();
        // A journal that nobody reads any more needs no entry.
        let _ = self.0.send(Seen { at, node, what });
    }
}

impl Journal {
    pub(super) fn new() -> (Pen, Self) {
        let (pen, incoming) = mpsc::unbounded_channel();
        let journal = Self {
            incoming,
            entries: Vec::new(),
            trouble: BTreeMap::new(),
        };
        (Pen(pen), journal)
    }

    /// Waits until `nodes` distinct nodes saw what `counts` accepts; when each first did, earliest first.
    ///
    /// # Errors
    /// [`LoadError::Waited`] if that takes longer than `patience`.
    pub(super) async fn wait(
        &mut self,
        what: &'static str,
        nodes: usize,
        patience: Duration,
        counts: impl Fn(&Seen) -> bool,
    ) -> Result<Vec<Instant>, LoadError> {
        let (mut times, mut who) = (Vec::with_capacity(nodes), BTreeSet::new());
        let give_up = tokio::time::Instant::now() + patience;
        let mut next = 0;
        loop {
            for seen in &self.entries[next..] {
                if counts(seen) && who.insert(seen.node) {
                    times.push(seen.at);
                }
            }
            next = self.entries.len();
            if times.len() >= nodes {
                times.sort_unstable();
                return Ok(times);
            }
            match tokio::time::timeout_at(give_up, self.incoming.recv()).await {
                Ok(Some(seen)) => self.enter(seen),
                Ok(None) | Err(_) => {
                    return Err(LoadError::Waited {
                        what,
                        expected: nodes,
                        found: times.len(),
                        seconds: patience.as_secs(),
                        trouble: self.trouble_in_words(),
                        explanation: None,
                    });
                }
            }
        }
    }

    /// Everything that was seen since the last [`Self::forget`].
    pub(super) fn entries(&mut self) -> &[Seen] {
        while let Ok(seen) = self.incoming.try_recv() {
            self.enter(seen);
        }
        &self.entries
    }

    /// Forgets everything but the trouble.
    pub(super) fn forget(&mut self) {
        self.entries();
        self.entries.clear();
    }

    /// Number of refusals and broken connections so far.
    pub(super) fn troubles(&mut self) -> usize {
        self.entries();
        self.trouble.values().sum()
    }

    /// Each kind of trouble with its number.
    pub(super) fn trouble_in_words(&self) -> String {
        let words = self.trouble.iter();
        let words = words.map(|(word, times)| format!("{word}: {times}"));
        match words.collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => "no refusal and no broken connection".to_owned(),
            words => words,
        }
    }

    fn enter(&mut self, seen: Seen) {
        let word = match &seen.what {
            Sight::Refused(code) => Some(format!("refused {}", code.word())),
            Sight::Broken(reason) => Some(reason.clone()),
            _ => None,
        };
        if let Some(word) = word {
            *self.trouble.entry(word).or_default() += 1;
        }
        self.entries.push(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_counts_once_and_what_came_before_counts_too() {
        let (pen, mut journal) = Journal::new();
        pen.write(0, Sight::Over);
        pen.write(0, Sight::Over);
        pen.write(1, Sight::Refused(RefusalCode::Late));
        pen.write(1, Sight::Over);
        assert_eq!(journal.troubles(), 1);
        let wait = journal.wait("ended", 2, Duration::MAX / 4, |seen| {
            seen.what == Sight::Over
        });
        assert_eq!(wait.await.expect("both ended").len(), 2);
        assert_eq!(journal.trouble_in_words(), "refused late: 1");
    }

    #[tokio::test]
    async fn a_wait_in_vain_names_the_trouble() {
        let (pen, mut journal) = Journal::new();
        pen.write(0, Sight::Broken("poll: reset".to_owned()));
        drop(pen);
        let error = journal
            .wait("ended", 1, Duration::from_secs(9), |_| false)
            .await
            .expect_err("nobody writes any more");
        assert_eq!(
            error.to_string(),
            "of 1 nodes 0 ended within 9 s (poll: reset: 1)"
        );
    }
}
