//! How many requests a key may make: so many a second for long, and more at once after a rest.
//!
//! The generic cell rate algorithm (ITU-T I.371, annex A): a key has one number, the time at which all that it was
//! granted would be done if it kept to its rate.

use std::collections::HashMap;

use commonweal_wire::KeyId;

/// A rested key may make the requests of so long a time at once.
const BURST_US: u64 = 2_000_000;

/// The budgets of all keys.
#[derive(Debug)]
pub(super) struct Budgets {
    /// Time that one request is granted.
    each_us: u64,
    done_us: HashMap<KeyId, u64>,
}

impl Budgets {
    /// So many requests a second for each key.
    pub(super) fn new(per_second: u64) -> Self {
        Self {
            each_us: 1_000_000 / per_second.clamp(1, 1_000_000),
            done_us: HashMap::new(),
        }
    }

    /// Whether `key` has to wait. Costs less than to verify a signature, and only the key's holder can bring it about.
    pub(super) fn is_spent(&self, key: &KeyId, now_us: u64) -> bool {
        let done_us = self.done_us.get(key);
        done_us.is_some_and(|done_us| *done_us + self.each_us > now_us + BURST_US)
    }

    /// Counts a request that `key` has signed.
    pub(super) fn spend(&mut self, key: KeyId, now_us: u64) {
        let done_us = self.done_us.entry(key).or_default();
        *done_us = (*done_us).max(now_us) + self.each_us;
    }

    /// Drops keys that have rested: they have all that a new one has.
    pub(super) fn forget_rested(&mut self, now_us: u64) {
        self.done_us.retain(|_, done_us| *done_us > now_us);
    }
}

#[cfg(test)]
mod tests {
    use commonweal_wire::NodeKey;

    use super::*;

    fn key(secret: u8) -> KeyId {
        NodeKey::from_secret(&[secret; 32]).public().id()
    }

    /// Requests that are granted of so many, one every `step_us`.
    fn granted(budgets: &mut Budgets, from_us: u64, requests: u64, step_us: u64) -> u64 {
        let mut granted = 0;
        for at in 0..requests {
            let now_us = from_us + at * step_us;
            if !budgets.is_spent(&key(1), now_us) {
                budgets.spend(key(1), now_us);
                granted += 1;
            }
        }
        granted
    }

    #[test]
    fn a_rested_key_has_two_seconds_at_once_and_then_its_rate() {
        let mut budgets = Budgets::new(10);
        assert_eq!(granted(&mut budgets, 0, 1_000, 0), 20);
        // Ten seconds of requests.
        assert_eq!(granted(&mut budgets, 0, 10_001, 1_000), 100);
    }

    #[test]
    fn who_keeps_to_the_rate_never_waits() {
        let mut budgets = Budgets::new(10);
        assert_eq!(granted(&mut budgets, 7, 10_000, 100_000), 10_000);
    }

    #[test]
    fn one_key_spends_nothing_of_anothers() {
        let mut budgets = Budgets::new(1);
        granted(&mut budgets, 0, 100, 0);
        assert!(budgets.is_spent(&key(1), 0));
        assert!(!budgets.is_spent(&key(2), 0));
    }

    #[test]
    fn a_key_that_has_rested_costs_nothing() {
        let mut budgets = Budgets::new(1);
        granted(&mut budgets, 0, 100, 0);
        budgets.forget_rested(1_000_000);
        assert_eq!(budgets.done_us.len(), 1);
        budgets.forget_rested(3_000_000);
        assert_eq!(budgets.done_us.len(), 0);
        assert_eq!(granted(&mut budgets, 3_000_000, 100, 0), 2);
    }
}
