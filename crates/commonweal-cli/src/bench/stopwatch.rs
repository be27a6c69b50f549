//! The time of the fastest of many repetitions: what others do on the machine only ever adds.

use std::time::{Duration, Instant};

/// Fewest repetitions that are timed, however long one takes.
const REPETITIONS: usize = 5;

/// Seconds of the fastest call of `work` within `budget`, after one call that is not counted.
pub(super) fn fastest(budget: Duration, mut work: impl FnMut()) -> f64 {
    work();
    let end = Instant::now() + budget;
    let mut best = f64::INFINITY;
    let mut repetitions = 0;
    while repetitions < REPETITIONS || Instant::now() < end {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
        repetitions += 1;
    }
    best
}
