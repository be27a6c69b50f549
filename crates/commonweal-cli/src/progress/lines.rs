//! Progress where nothing can be drawn in place: a line an evaluation, and one every few seconds.

use std::time::{Duration, Instant};

use commonweal_disk::observer::Event;

use super::{Last, metric};
use crate::console::Console;

/// Longest time that is silent while rounds go by.
const SILENCE: Duration = Duration::from_secs(5);

/// The clock of the lines.
pub(super) struct Lines {
    started: Instant,
    said: Instant,
    rounds_in_all: u64,
    rounds_before: u64,
    resumed_after: u64,
}

impl Lines {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            said: now,
            rounds_in_all: 0,
            rounds_before: 0,
            resumed_after: 0,
        }
    }

    pub(super) fn event(&mut self, event: &Event, last: &Last, console: &Console) {
        match event {
            Event::Started {
                rounds,
                seeds,
                resumed_after,
                ..
            } => {
                self.rounds_in_all = rounds * seeds.len().max(1) as u64;
                self.resumed_after = *resumed_after;
            }
            Event::Seed { index, .. } => {
                self.rounds_before = (*index as u64).saturating_sub(1) * last.rounds;
            }
            Event::Round { round, .. } if self.said.elapsed() >= SILENCE => {
                self.say(*round, last, console);
            }
            Event::Evaluated { round, .. } if *round > 0 => self.say(*round, last, console),
            Event::Baseline {
                name,
                metrics,
                seconds,
                ..
            } => {
                let values: Vec<String> = metrics
                    .iter()
                    .map(|(name, value)| format!("{name} {}", metric(name, *value)))
                    .collect();
                let values = values.join(" · ");
                console.note(format_args!("baseline {name}: {values} · {seconds:.1} s"));
            }
            _ => {}
        }
    }

    fn say(&mut self, round: u64, last: &Last, console: &Console) {
        self.said = Instant::now();
        let seconds = self.started.elapsed().as_secs_f64();
        let done = self.rounds_before + round;
        let left = remaining(seconds, done, self.resumed_after, self.rounds_in_all);
        let seed = match last.seed {
            Some((index, of)) => format!("seed {index}/{of} "),
            None => String::new(),
        };
        console.note(format_args!(
            "{seed}round {round}/{} · {} · {seconds:.1} s gone, {left:.1} s left",
            last.rounds,
            last.numbers(),
        ));
    }
}

/// Seconds left if the other rounds take as long as those since the start did.
fn remaining(seconds: f64, done: u64, resumed_after: u64, in_all: u64) -> f64 {
    let run = done.saturating_sub(resumed_after).max(1);
    seconds / run as f64 * in_all.saturating_sub(done) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_run_is_judged_by_its_own_rounds() {
        assert_eq!(remaining(10.0, 60, 50, 100), 40.0);
        assert_eq!(remaining(10.0, 100, 0, 100), 0.0);
    }
}
