//! How long nodes take and how long they are waited for: all of it derived from what was measured.

use std::collections::{BTreeMap, VecDeque};

use commonweal_core::{ClientIndex, Stage, Time};

/// The floors below which no waiting is cut short, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A node that is away is waited for at least this long.
    pub grace_ms: u64,
    /// A node at work has at least this long.
    pub work_ms: u64,
    /// The first rest of a node that failed `Rests::FAILURES` times in a row.
    pub rest_ms: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            grace_ms: 15_000,
            work_ms: 10_000,
            rest_ms: 60_000,
        }
    }
}

/// What the last rounds took, and what the next may take.
#[derive(Debug)]
pub(super) struct Pace {
    patience: Patience,
    /// Whether every node is waited for.
    is_reproducible: bool,
    /// The slowest of each round's fastest four fifths, in milliseconds, by stage.
    rounds: BTreeMap<Stage, VecDeque<u64>>,
}

impl Pace {
    /// Rounds that are remembered.
    const ROUNDS: usize = 5;

    pub(super) fn new(patience: Patience, is_reproducible: bool) -> Self {
        Self {
            patience,
            is_reproducible,
            rounds: BTreeMap::new(),
        }
    }

    /// Notes how long the counted nodes of a round worked.
    pub(super) fn round_over(&mut self, stage: Stage, mut worked_ms: Vec<u64>) {
        worked_ms.sort_unstable();
        let fastest = (4 * worked_ms.len()).div_ceil(5);
        let Some(&slowest) = fastest.checked_sub(1).and_then(|last| worked_ms.get(last)) else {
            return;
        };
        let rounds = self.rounds.entry(stage).or_default();
        if rounds.len() == Self::ROUNDS {
            rounds.pop_front();
        }
        rounds.push_back(slowest);
    }

    /// How long a node may work. `None` if it is waited for, or nothing is known.
    pub(super) fn work_ms(&self, stage: Stage) -> Option<u64> {
        self.slow_ms(stage).filter(|_| !self.is_reproducible)
    }

    /// Work that takes longer is slow: three times what was the slowest lately. `None` if nothing is known.
    pub(super) fn slow_ms(&self, stage: Stage) -> Option<u64> {
        let slowest = *self.rounds.get(&stage)?.iter().max()?;
        Some(slowest.saturating_mul(3).max(self.patience.work_ms))
    }

    /// How long a node that is away is waited for: as long as its work takes, where that is long. `None` for ever.
    pub(super) fn grace_ms(&self, stage: Stage) -> Option<u64> {
        let slowest = self
            .rounds
            .get(&stage)
            .and_then(|rounds| rounds.iter().max());
        let grace = slowest.copied().unwrap_or(0).max(self.patience.grace_ms);
        (!self.is_reproducible).then_some(grace)
    }
}

/// Nodes that failed again and again, and until when they are left alone.
#[derive(Debug)]
pub(super) struct Rests {
    first_ms: u64,
    streaks: BTreeMap<ClientIndex, Streak>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Streak {
    failures: u32,
    until: Time,
}

impl Rests {
    /// Failures in a row after which a node rests.
    pub(super) const FAILURES: u32 = 3;
    /// Doublings of the first rest at most: from one minute to about an hour.
    const DOUBLINGS: u32 = 6;

    pub(super) fn new(patience: Patience) -> Self {
        Self {
            first_ms: patience.rest_ms,
            streaks: BTreeMap::new(),
        }
    }

    /// Notes a failure; returns the rest that follows from it, in milliseconds.
    pub(super) fn failed(&mut self, client: ClientIndex, now: Time) -> Option<u64> {
        let streak = self.streaks.entry(client).or_default();
        streak.failures += 1;
        let beyond = streak.failures.checked_sub(Self::FAILURES)?;
        let longest = 60 * self.first_ms;
        let rest_ms = (self.first_ms << beyond.min(Self::DOUBLINGS)).min(longest);
        streak.until = now.after_ms(rest_ms);
        Some(rest_ms)
    }

    /// Notes a success: the row of failures is over.
    pub(super) fn counted(&mut self, client: ClientIndex) {
        self.streaks.remove(&client);
    }

    /// How long the node still rests, in milliseconds.
    pub(super) fn left_ms(&self, client: ClientIndex, now: Time) -> Option<u64> {
        let until = self.streaks.get(&client)?.until;
        until.ms.checked_sub(now.ms).filter(|&left| left > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(is_reproducible: bool) -> Pace {
        Pace::new(Patience::default(), is_reproducible)
    }

    #[test]
    fn a_node_may_work_three_times_as_long_as_the_slowest_of_the_fastest_four_fifths() {
        let mut pace = pace(false);
        assert_eq!(pace.work_ms(Stage::Train), None);
        pace.round_over(Stage::Train, vec![900_000, 5_000, 4_000, 6_000, 7_000]);
        assert_eq!(pace.work_ms(Stage::Train), Some(21_000));
        assert_eq!(pace.work_ms(Stage::Evaluate), None);
    }

    #[test]
    fn a_limit_follows_the_slowest_of_the_last_rounds_and_forgets_older_ones() {
        let mut pace = pace(false);
        for ms in [90_000, 10_000, 11_000, 12_000, 13_000] {
            pace.round_over(Stage::Train, vec![ms]);
        }
        assert_eq!(pace.work_ms(Stage::Train), Some(270_000));
        pace.round_over(Stage::Train, vec![10_000]);
        assert_eq!(pace.work_ms(Stage::Train), Some(39_000));
    }

    #[test]
    fn fast_rounds_leave_the_floors_and_a_round_of_nobody_teaches_nothing() {
        let mut pace = pace(false);
        pace.round_over(Stage::Train, Vec::new());
        assert_eq!(pace.work_ms(Stage::Train), None);
        pace.round_over(Stage::Train, vec![3]);
        assert_eq!(pace.work_ms(Stage::Train), Some(10_000));
        assert_eq!(pace.grace_ms(Stage::Train), Some(15_000));
    }

    #[test]
    fn a_reproducible_run_waits_for_ever() {
        let mut pace = pace(true);
        pace.round_over(Stage::Train, vec![3]);
        assert_eq!(pace.work_ms(Stage::Train), None);
        assert_eq!(pace.grace_ms(Stage::Train), None);
    }

    #[test]
    fn three_failures_in_a_row_rest_a_node_and_each_further_one_twice_as_long() {
        let mut rests = Rests::new(Patience::default());
        let (client, now) = (ClientIndex(3), Time::START);
        let rest: Vec<_> = (0..11).map(|_| rests.failed(client, now)).collect();
        let minutes = |minutes: u64| Some(60_000 * minutes);
        assert_eq!(
            rest[..6],
            [None, None, minutes(1), minutes(2), minutes(4), minutes(8)]
        );
        assert_eq!(rest[10], minutes(60));
        assert_eq!(rests.left_ms(client, Time { ms: 3_599_999 }), Some(1));
        assert_eq!(rests.left_ms(client, Time { ms: 3_600_000 }), None);
        assert_eq!(rests.left_ms(ClientIndex(4), now), None);
    }

    #[test]
    fn one_success_ends_the_row() {
        let mut rests = Rests::new(Patience::default());
        let client = ClientIndex(0);
        for _ in 0..2 {
            assert_eq!(rests.failed(client, Time::START), None);
            assert_eq!(rests.failed(client, Time::START), None);
            rests.counted(client);
        }
    }
}
