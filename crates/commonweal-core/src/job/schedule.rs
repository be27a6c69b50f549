//! `training.schedule`: how the learning rate changes by round.

use serde::{Deserialize, Serialize};

/// How the learning rate changes by round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// What happens after the warm-up.
    #[serde(flatten)]
    pub decay: Decay,
    /// Rounds over which the rate rises in equal steps to its full value; 0 for none.
    pub warmup_rounds: u32,
}

/// Decay of the learning rate over the rounds after the warm-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Decay {
    /// None.
    Constant,
    /// Times `factor` after every `every` rounds.
    Step {
        /// Rounds, at least 1.
        every: u32,
        /// 0 < factor ≤ 1.
        factor: f64,
    },
    /// Times `factor` after every round.
    Exponential {
        /// 0 < factor ≤ 1.
        factor: f64,
    },
    /// Half a cosine, from 1 in the first round down to `end` in the last.
    Cosine {
        /// 0 ≤ end ≤ 1.
        end: f64,
    },
}

impl Schedule {
    /// What the learning rate is multiplied by in `round`, counted from 1, of `rounds`.
    ///
    /// The warm-up comes first and counts r / `warmup_rounds` in round r; the decay begins after it.
    pub fn factor(&self, round: u64, rounds: u64) -> f64 {
        let warmup = u64::from(self.warmup_rounds);
        if round < warmup {
            return round as f64 / warmup as f64;
        }
        let done = round.saturating_sub(warmup + 1);
        match self.decay {
            Decay::Constant => 1.0,
            Decay::Step { every, factor } => {
                libm::pow(factor, (done / u64::from(every.max(1))) as f64)
            }
            Decay::Exponential { factor } => libm::pow(factor, done as f64),
            Decay::Cosine { end } => {
                let last = rounds.saturating_sub(warmup + 1).max(1);
                let part = (done as f64 / last as f64).min(1.0);
                end + (1.0 - end) * (1.0 + libm::cos(core::f64::consts::PI * part)) / 2.0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn factors(decay: Decay, warmup_rounds: u32) -> Vec<f64> {
        let schedule = Schedule {
            decay,
            warmup_rounds,
        };
        (1..=5).map(|round| schedule.factor(round, 5)).collect()
    }

    #[test]
    fn the_rate_changes_by_round_as_named() {
        assert_eq!(factors(Decay::Constant, 0), [1.0; 5]);
        let step = Decay::Step {
            every: 2,
            factor: 0.5,
        };
        assert_eq!(factors(step, 0), [1.0, 1.0, 0.5, 0.5, 0.25]);
        let exponential = Decay::Exponential { factor: 0.5 };
        assert_eq!(factors(exponential, 0), [1.0, 0.5, 0.25, 0.125, 0.0625]);
        let cosine = factors(Decay::Cosine { end: 0.5 }, 0);
        assert_eq!((cosine[0], cosine[2], cosine[4]), (1.0, 0.75, 0.5));
    }

    #[test]
    fn a_warm_up_rises_to_the_full_rate_before_the_decay() {
        let step = Decay::Step {
            every: 1,
            factor: 0.5,
        };
        assert_eq!(factors(step, 2), [0.5, 1.0, 1.0, 0.5, 0.25]);
        let cosine = factors(Decay::Cosine { end: 0.0 }, 2);
        assert_eq!((cosine[0], cosine[2], cosine[4]), (0.5, 1.0, 0.0));
    }
}
