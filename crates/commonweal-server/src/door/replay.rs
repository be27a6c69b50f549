//! Requests that were made already: a window over each key's nonces, in bounded memory.
//!
//! A key's last requests are remembered by time and nonce. One that is older than all of them cannot be told from a
//! repetition and is refused as if by the clock: its sender signs a new one. What an earlier process of this server
//! was asked is older than its start, and is refused in the same way.

use std::collections::{BTreeSet, HashMap};

use commonweal_wire::{CLOCK_WINDOW_MS, KeyId, Nonce, RefusalCode};

/// Requests of one key that are remembered.
const REMEMBERED: usize = 32;

/// The requests of all keys.
#[derive(Debug)]
pub(super) struct Replays {
    keys: HashMap<KeyId, Seen>,
    started_ms: u64,
}

#[derive(Debug)]
struct Seen {
    requests: BTreeSet<(u64, Nonce)>,
    /// All of this time and earlier is refused.
    floor_ms: u64,
}

impl Replays {
    /// Remembers nothing of what was before `started_ms`.
    pub(super) fn new(started_ms: u64) -> Self {
        Self {
            keys: HashMap::new(),
            started_ms,
        }
    }

    /// Notes a request of `key`, whose signature has been verified.
    ///
    /// # Errors
    /// [`RefusalCode::Replayed`], or [`RefusalCode::Clock`] for one of which that cannot be known.
    pub(super) fn note(
        &mut self,
        key: KeyId,
        time_ms: u64,
        nonce: Nonce,
    ) -> Result<(), RefusalCode> {
        let floor_ms = self.started_ms.saturating_sub(1);
        let seen = self.keys.entry(key).or_insert_with(|| Seen {
            requests: BTreeSet::new(),
            floor_ms,
        });
        if seen.requests.contains(&(time_ms, nonce)) {
            return Err(RefusalCode::Replayed);
        }
        if time_ms <= seen.floor_ms {
            return Err(RefusalCode::Clock);
        }
        seen.requests.insert((time_ms, nonce));
        if seen.requests.len() > REMEMBERED
            && let Some((oldest_ms, _)) = seen.requests.pop_first()
        {
            seen.floor_ms = oldest_ms;
        }
        Ok(())
    }

    /// Drops keys whose requests are all too old to be taken again.
    pub(super) fn forget_old(&mut self, now_ms: u64) {
        let oldest_ms = now_ms.saturating_sub(CLOCK_WINDOW_MS);
        self.started_ms = self
            .started_ms
            .max(oldest_ms.saturating_sub(CLOCK_WINDOW_MS));
        self.keys.retain(|_, seen| {
            let last = seen.requests.last();
            last.is_some_and(|(time_ms, _)| *time_ms >= oldest_ms)
        });
    }
}

/// Whether a request of `time_ms` may be taken at `now_ms`.
pub(super) fn is_timely(time_ms: u64, now_ms: u64) -> bool {
    time_ms.abs_diff(now_ms) <= CLOCK_WINDOW_MS
}

#[cfg(test)]
mod tests {
    use commonweal_wire::NodeKey;

    use super::*;

    fn key(secret: u8) -> KeyId {
        NodeKey::from_secret(&[secret; 32]).public().id()
    }

    #[test]
    fn a_request_counts_once_for_each_key() {
        let mut replays = Replays::new(1_000);
        assert_eq!(replays.note(key(1), 2_000, [1; 16]), Ok(()));
        assert_eq!(
            replays.note(key(1), 2_000, [1; 16]),
            Err(RefusalCode::Replayed)
        );
        assert_eq!(replays.note(key(1), 2_000, [2; 16]), Ok(()));
        assert_eq!(replays.note(key(2), 2_000, [1; 16]), Ok(()));
    }

    #[test]
    fn what_was_before_the_start_is_refused() {
        let mut replays = Replays::new(1_000);
        assert_eq!(replays.note(key(1), 999, [1; 16]), Err(RefusalCode::Clock));
        assert_eq!(replays.note(key(1), 1_000, [1; 16]), Ok(()));
    }

    #[test]
    fn what_is_forgotten_is_refused_all_the_same() {
        let mut replays = Replays::new(0);
        for time_ms in 1..=1_000 {
            assert_eq!(replays.note(key(1), time_ms, [0; 16]), Ok(()));
        }
        for time_ms in 1..=1_000 {
            assert!(replays.note(key(1), time_ms, [0; 16]).is_err());
        }
        assert_eq!(replays.keys[&key(1)].requests.len(), REMEMBERED);
    }

    #[test]
    fn a_key_that_is_quiet_for_the_window_costs_nothing() {
        let mut replays = Replays::new(0);
        replays.note(key(1), 1_000, [1; 16]).unwrap();
        replays.forget_old(1_000 + CLOCK_WINDOW_MS);
        assert_eq!(replays.keys.len(), 1);
        replays.forget_old(1_001 + CLOCK_WINDOW_MS);
        assert_eq!(replays.keys.len(), 0);
        assert!(!is_timely(1_000, 1_001 + CLOCK_WINDOW_MS));
    }
}
