//! Progress on a terminal: one bar over the rounds of all seeds, drawn in place on stderr.

use std::io::Write;

use commonweal_disk::observer::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Last;

const ROUNDS: &str = "{prefix} {bar:24} {msg} · {elapsed} gone, {eta} left";
const ROWS: &str = "{prefix} {bar:24} {percent} % · {elapsed} gone, {eta} left";

/// The bar. It takes its own line away when it is dropped.
pub(super) struct Bar {
    bar: ProgressBar,
    rounds: u64,
    seed: u64,
}

impl Bar {
    pub(super) fn new() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            rounds: 0,
            seed: 0,
        }
    }

    /// Prints `text` above the bar.
    pub(super) fn aside(&self, text: &str) {
        if self.bar.is_hidden() {
            let _ = writeln!(std::io::stderr(), "{text}");
        } else {
            self.bar.println(text);
        }
    }

    pub(super) fn event(&mut self, event: &Event, last: &Last) {
        match event {
            Event::Started { rounds, seeds, .. } => {
                self.rounds = *rounds;
                self.start(*rounds * seeds.len().max(1) as u64, ROUNDS);
            }
            Event::Seed { index, .. } => {
                self.seed = (*index as u64).saturating_sub(1);
                self.bar.set_position(self.seed * self.rounds);
            }
            Event::Round { round, .. } | Event::Abandoned { round, .. } => {
                self.bar.set_position(self.seed * self.rounds + round);
                self.bar.set_prefix(place(last, *round));
                self.bar.set_message(last.numbers());
            }
            Event::Evaluated { .. } => self.bar.set_message(last.numbers()),
            Event::BaselineProgress { name, done, total } => {
                if self.bar.length() != Some(*total) {
                    self.start(*total, ROWS);
                }
                self.bar.set_prefix(format!("baseline {name}"));
                self.bar.set_position(*done);
            }
            Event::Interrupted { .. } | Event::Finished { .. } => self.bar.finish_and_clear(),
            _ => {}
        }
    }

    fn start(&mut self, length: u64, template: &str) {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("━╸─"));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Such as `seed 2/5 round 12/50`.
fn place(last: &Last, round: u64) -> String {
    let seed = match last.seed {
        Some((index, of)) => format!("seed {index}/{of} "),
        None => String::new(),
    };
    format!("{seed}round {round}/{}", last.rounds)
}
