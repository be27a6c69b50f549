//! Watches one metric over a run's evaluations: its best value, and how long ago that was.

use crate::MetricKind;

/// The best value so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best {
    /// The round after which it was measured.
    pub round: u64,
    /// The value.
    pub value: f64,
}

/// The best value of one metric, and the evaluations since.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judge {
    pub(super) kind: MetricKind,
    pub(super) best: Option<Best>,
    pub(super) since: u32,
}

impl Judge {
    /// A judge that has seen nothing.
    pub fn new(kind: MetricKind) -> Self {
        Self {
            kind,
            best: None,
            since: 0,
        }
    }

    /// Looks at the value measured after `round`; returns whether it is the best so far.
    ///
    /// A value that is missing or NaN is never the best; an equal one is not better.
    pub fn observe(&mut self, round: u64, value: Option<f64>) -> bool {
        let better = |value: f64, best: f64| match self.kind.higher_is_better() {
            true => value > best,
            false => value < best,
        };
        let value = value.filter(|value| !value.is_nan());
        let best = value.filter(|&value| self.best.is_none_or(|best| better(value, best.value)));
        self.since += 1;
        if let Some(value) = best {
            self.best = Some(Best { round, value });
            self.since = 0;
        }
        best.is_some()
    }

    /// The best value so far.
    pub fn best(&self) -> Option<Best> {
        self.best
    }

    /// Evaluations since the best.
    pub fn since(&self) -> u32 {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_the_highest_accuracy_and_the_lowest_loss() {
        let mut judge = Judge::new(MetricKind::Accuracy);
        let seen = [Some(0.5), Some(0.7), Some(0.7), None, Some(0.6)];
        let best = seen.map(|value| judge.observe(1, value));
        assert_eq!(best, [true, true, false, false, false]);
        assert_eq!(judge.since(), 3);
        let mut judge = Judge::new(MetricKind::Loss);
        let best = [2.0, f64::NAN, 3.0, 1.0].map(|value| judge.observe(9, Some(value)));
        assert_eq!(best, [true, false, false, true]);
        assert_eq!(
            judge.best(),
            Some(Best {
                round: 9,
                value: 1.0
            })
        );
    }
}
