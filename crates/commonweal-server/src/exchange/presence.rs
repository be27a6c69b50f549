//! Whether a node is there: told by its polls alone.

/// Whether a node is there. Times are milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// A poll of it waits, or the last was answered a moment ago.
    Online {
        /// Since when, without a gap.
        since_ms: u64,
    },
    /// Its connection broke, or it has not come back after an answer.
    Silent {
        /// When it was last heard of.
        since_ms: u64,
    },
    /// As silent, for `OFFLINE_AFTER_MS`.
    Offline {
        /// When it was last heard of; in an earlier process perhaps.
        since_ms: u64,
    },
    /// It has never polled.
    Unknown,
}

/// Time that a node has for its next poll: answers travel, and connections are made anew.
pub(super) const SILENT_AFTER_MS: u64 = 2_000;

/// Silence after which a node counts as gone.
pub(super) const OFFLINE_AFTER_MS: u64 = 20_000;

/// What is known of a node's polls.
#[derive(Debug, Default)]
pub(super) struct Contact {
    last_ms: Option<u64>,
    online_since_ms: u64,
    polls: Polls,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Polls {
    #[default]
    Never,
    Waiting,
    /// The next one is expected.
    Between,
    Silent,
    Offline,
}

impl Contact {
    /// Takes over what an earlier process saw.
    pub(super) fn last_seen(&mut self, last_ms: Option<u64>) {
        if self.polls == Polls::Never && last_ms.is_some() {
            self.last_ms = last_ms;
            self.polls = Polls::Offline;
        }
    }

    /// A poll came in. True if the node was not online before.
    pub(super) fn begin(&mut self, now_ms: u64) -> bool {
        let is_new = !matches!(self.polls, Polls::Waiting | Polls::Between);
        if is_new {
            self.online_since_ms = now_ms;
        }
        self.polls = Polls::Between;
        self.last_ms = Some(now_ms);
        is_new
    }

    /// The poll waits for its answer.
    pub(super) fn wait(&mut self) {
        self.polls = Polls::Waiting;
    }

    /// The waiting poll was answered, or its connection broke.
    pub(super) fn end(&mut self, now_ms: u64) {
        self.polls = Polls::Between;
        self.last_ms = Some(now_ms);
    }

    /// Looks at the time. The presence, if it has changed.
    pub(super) fn tick(&mut self, now_ms: u64) -> Option<Presence> {
        let silence_ms = now_ms.saturating_sub(self.last_ms?);
        self.polls = match self.polls {
            Polls::Between if silence_ms >= SILENT_AFTER_MS => Polls::Silent,
            Polls::Silent if silence_ms >= OFFLINE_AFTER_MS => Polls::Offline,
            _ => return None,
        };
        Some(self.presence())
    }

    /// When the node was last heard of, if it was in this process.
    pub(super) fn heard(&self, now_ms: u64) -> Option<u64> {
        match self.polls {
            Polls::Waiting => Some(now_ms),
            _ => self.last_ms.filter(|_| self.online_since_ms > 0),
        }
    }

    pub(super) fn presence(&self) -> Presence {
        let since_ms = self.last_ms.unwrap_or_default();
        match self.polls {
            Polls::Never => Presence::Unknown,
            Polls::Waiting | Polls::Between => Presence::Online {
                since_ms: self.online_since_ms,
            },
            Polls::Silent => Presence::Silent { since_ms },
            Polls::Offline => Presence::Offline { since_ms },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent_at(contact: &mut Contact, now_ms: u64) -> bool {
        matches!(contact.tick(now_ms), Some(Presence::Silent { .. }))
    }

    #[test]
    fn a_waiting_node_is_online_however_long_it_waits() {
        let mut contact = Contact::default();
        assert_eq!(contact.presence(), Presence::Unknown);
        assert!(contact.begin(1_000));
        contact.wait();
        assert_eq!(contact.tick(900_000), None);
        assert_eq!(contact.presence(), Presence::Online { since_ms: 1_000 });
    }

    #[test]
    fn a_broken_poll_makes_a_node_silent_and_then_offline() {
        let mut contact = Contact::default();
        contact.begin(0);
        contact.wait();
        contact.end(10_000);
        assert_eq!(contact.tick(10_000 + SILENT_AFTER_MS - 1), None);
        assert!(silent_at(&mut contact, 10_000 + SILENT_AFTER_MS));
        assert_eq!(contact.tick(10_000 + OFFLINE_AFTER_MS - 1), None);
        let offline = Presence::Offline { since_ms: 10_000 };
        assert_eq!(contact.tick(10_000 + OFFLINE_AFTER_MS), Some(offline));
        assert_eq!(contact.tick(99_999), None);
        assert!(contact.begin(100_000));
        assert_eq!(contact.presence(), Presence::Online { since_ms: 100_000 });
    }

    #[test]
    fn a_node_that_polls_again_in_time_was_never_away() {
        let mut contact = Contact::default();
        contact.begin(0);
        contact.wait();
        contact.end(5_000);
        assert!(!contact.begin(5_000 + SILENT_AFTER_MS - 1));
        assert_eq!(contact.presence(), Presence::Online { since_ms: 0 });
    }

    #[test]
    fn what_an_earlier_process_saw_counts_until_the_first_poll() {
        let mut contact = Contact::default();
        contact.last_seen(Some(7));
        assert_eq!(contact.presence(), Presence::Offline { since_ms: 7 });
        contact.begin(50);
        contact.last_seen(Some(8));
        assert_eq!(contact.presence(), Presence::Online { since_ms: 50 });
    }
}
