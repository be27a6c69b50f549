//! How fast uploads usually are, and what is a fair share of that.

use std::collections::VecDeque;

/// Bytes a second that an upload is taken to have before any was seen.
const GUESS: u64 = 10_000_000;

/// An upload may be so many times slower than the usual one.
const PATIENCE: u64 = 4;

/// Uploads that are remembered.
const MEMORY: usize = 16;

/// Shorter uploads say nothing of a line.
const TELLING_BYTES: u64 = 1 << 20;

/// Rates of the last long uploads, in bytes a second.
#[derive(Debug, Default)]
pub(super) struct Pace {
    completed: VecDeque<u64>,
    /// Of an upload that lost its slot. Counts only until one is completed: where every line is slow, the second
    /// upload is not held to the guess that the first did not keep.
    lost: Option<u64>,
}

impl Pace {
    /// Bytes a second.
    pub(super) fn rate(bytes: u64, spent_ms: u64) -> u64 {
        bytes.saturating_mul(1_000) / spent_ms.max(1)
    }

    pub(super) fn completed(&mut self, bytes: u64, spent_ms: u64) {
        if bytes < TELLING_BYTES {
            return;
        }
        if self.completed.len() == MEMORY {
            self.completed.pop_front();
        }
        self.completed.push_back(Self::rate(bytes, spent_ms));
    }

    pub(super) fn lost(&mut self, rate: u64) {
        self.lost = Some(rate);
    }

    /// The lowest rate that keeps a slot while others wait: a quarter of the median.
    pub(super) fn fair(&self) -> u64 {
        let mut rates: Vec<_> = self.completed.iter().copied().collect();
        rates.sort_unstable();
        let usual = rates.get(rates.len() / 2).copied();
        usual.or(self.lost).unwrap_or(GUESS) / PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fair_share_is_a_quarter_of_the_median_rate() {
        let mut pace = Pace::default();
        for rate in [1, 40, 80] {
            pace.completed(rate << 20, 1_000);
        }
        assert_eq!(pace.fair(), 10 << 20);
        pace.lost(1);
        assert_eq!(pace.fair(), 10 << 20);
    }

    #[test]
    fn where_all_lines_are_slow_the_second_upload_is_let_be() {
        let mut pace = Pace::default();
        assert!(Pace::rate(1_000_000, 1_000) < pace.fair());
        pace.lost(1_000_000);
        assert!(Pace::rate(1_000_000, 1_000) > pace.fair());
    }

    #[test]
    fn a_short_upload_says_nothing() {
        let mut pace = Pace::default();
        pace.completed(31_400, 1);
        assert_eq!(pace.fair(), GUESS / PATIENCE);
    }
}
