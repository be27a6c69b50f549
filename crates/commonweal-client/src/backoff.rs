//! How long to wait before trying again: longer each time, and never in step with others.

use std::time::Duration;

use rand::TryRng as _;
use rand::rngs::SysRng;

/// Exponential back-off with full jitter: each wait is drawn between nothing and a bound that doubles.
///
/// (Brooker, "Exponential Backoff And Jitter", 2015.) A thousand nodes whose server comes back do not come all
/// at once.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    pace: Pace,
    tries: u32,
}

/// The bounds of all waits for the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    /// A download that brings nothing for so long has lost its connection.
    pub(crate) silence: Duration,
}

impl Pace {
    /// Of a node in the field.
    pub(crate) const NETWORK: Self = Self {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(60),
        silence: Duration::from_secs(30),
    };
}

impl Backoff {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, tries: 0 }
    }

    /// It worked: the next failure is a first one again.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }

    /// Whether the last thing that happened was a failure.
    pub(crate) fn is_failing(&self) -> bool {
        self.tries > 0
    }

    /// How long to wait after this failure.
    pub(crate) fn next(&mut self) -> Duration {
        let bound = self.bound();
        self.tries += 1;
        bound.mul_f64(share())
    }

    fn bound(&self) -> Duration {
        let doubled = self.pace.first.checked_mul(1 << self.tries.min(20));
        doubled.map_or(self.pace.longest, |bound| bound.min(self.pace.longest))
    }
}

/// A number between 0 and 1. Without randomness from the system, a half: waiting in step is no fault.
fn share() -> f64 {
    let mut bytes = [0; 4];
    match SysRng.try_fill_bytes(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_below_a_bound_that_doubles_until_the_longest() {
        let mut backoff = Backoff::new(Pace::NETWORK);
        let mut expected = Duration::from_secs(1);
        for _ in 0..40 {
            assert_eq!(backoff.bound(), expected.min(Duration::from_secs(60)));
            assert!(backoff.next() <= expected);
            expected = (expected * 2).min(Duration::from_secs(60));
        }
        assert!(backoff.is_failing());
        backoff.reset();
        assert_eq!(backoff.bound(), Duration::from_secs(1));
    }
}
