//! A run as it happens: a bar on a terminal, plain lines elsewhere, events with `--json`.

mod bar;
mod lines;

use std::collections::BTreeMap;

use commonweal_disk::observer::{Event, Observer};

use crate::console::Console;
use crate::interrupt::Interrupt;

use bar::Bar;
use lines::Lines;

/// Shows a run's events in the form that the console asks for.
pub struct Progress<'a> {
    console: &'a Console,
    interrupt: Interrupt,
    view: View,
    last: Last,
    finished: Option<Event>,
}

/// How progress is drawn.
enum View {
    Bar(Bar),
    Lines(Lines),
    Nothing,
}

/// What was last heard of each thing that a line shows.
#[derive(Default)]
struct Last {
    seed: Option<(usize, usize)>,
    rounds: u64,
    loss: Option<f64>,
    clients_per_second: Option<f64>,
    metrics: BTreeMap<String, f64>,
}

impl<'a> Progress<'a> {
    /// Raises `interrupt` once stdout's reader has gone away.
    #[must_use]
    pub fn new(console: &'a Console, interrupt: Interrupt) -> Self {
        let view = if console.draws() {
            View::Bar(Bar::new())
        } else if console.is_quiet() || console.is_json() {
            View::Nothing
        } else {
            View::Lines(Lines::new())
        };
        Self {
            console,
            interrupt,
            view,
            last: Last::default(),
            finished: None,
        }
    }

    /// Says that the run is over: its last event, held back until all its files are there.
    pub fn conclude(self) {
        if let Some(event) = &self.finished {
            self.console.tagged(event);
        }
    }

    /// Says a line above the bar, where there is one.
    pub(crate) fn say(&self, text: &str) {
        match &self.view {
            View::Bar(bar) => bar.aside(text),
            View::Lines(_) | View::Nothing => self.console.note(text),
        }
    }
}

impl Observer for Progress<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Finished { .. } => self.finished = Some(event.clone()),
            _ => self.console.tagged(event),
        }
        if self.console.is_closed() {
            self.interrupt.raise();
        }
        self.last.hear(event);
        match &mut self.view {
            View::Bar(bar) => bar.event(event, &self.last),
            View::Lines(lines) => lines.event(event, &self.last, self.console),
            View::Nothing => {}
        }
        match event {
            Event::Started { .. } => self.say(&started(event)),
            Event::Refused {
                round,
                client,
                reason,
            } => self.say(&format!("round {round}: {client} was refused: {reason}")),
            Event::Abandoned { round, reason } => {
                self.say(&format!("round {round} was abandoned: {reason}"));
            }
            Event::Warning { message } if !self.console.is_json() => {
                self.say(&format!("warning: {message}"));
            }
            _ => {}
        }
    }
}

/// The first line of a run: who trains what.
fn started(event: &Event) -> String {
    let Event::Started {
        job,
        clients,
        train_rows,
        test_rows,
        parameters,
        seeds,
        threads,
        folder,
        resumed_after,
        ..
    } = event
    else {
        return String::new();
    };
    let seeds = match seeds.len() {
        0 | 1 => String::new(),
        several => format!(", {several} seeds"),
    };
    let threads = count(*threads as u64, "thread");
    let clients = count(*clients, "client");
    // A server knows of its nodes' rows what it was told.
    let rows = match (train_rows, test_rows) {
        (0, 0) => String::new(),
        (train, 0) => format!("{train} training rows, "),
        (train, test) => format!("{train} training and {test} test rows, "),
    };
    let mut text = format!("{job}: {clients}, {rows}{parameters} parameters{seeds}, {threads}");
    if *resumed_after > 0 {
        text.push_str(&format!(", resumed after round {resumed_after}"));
    }
    if let Some(folder) = folder {
        text.push_str(&format!("\nrun folder {}", folder.display()));
    }
    text
}

fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

impl Last {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Started { rounds, .. } => self.rounds = *rounds,
            Event::Seed { index, of, .. } => {
                *self = Self {
                    seed: (*of > 1).then_some((*index, *of)),
                    rounds: self.rounds,
                    ..Self::default()
                };
            }
            Event::Round {
                loss,
                clients_per_second,
                ..
            } => {
                self.loss = *loss;
                self.clients_per_second = Some(*clients_per_second);
            }
            Event::Evaluated { metrics, .. } => self.metrics.clone_from(metrics),
            _ => {}
        }
    }

    /// Such as `loss 0.1234 · accuracy 95.1 % · 1,234 clients/s`.
    fn numbers(&self) -> String {
        let mut parts = Vec::new();
        if let Some(loss) = self.metrics.get("loss").copied().or(self.loss) {
            parts.push(format!("loss {loss:.4}"));
        }
        let others = self.metrics.iter().filter(|(name, _)| *name != "loss");
        parts.extend(others.map(|(name, value)| format!("{name} {}", metric(name, *value))));
        if let Some(rate) = self.clients_per_second {
            parts.push(format!("{} clients/s", thousands(rate)));
        }
        parts.join(" · ")
    }
}

/// A metric's value as a reader wants it: shares in per cent, the rest with four digits.
#[must_use]
pub fn metric(name: &str, value: f64) -> String {
    match name {
        "accuracy" => format!("{:.2} %", value * 100.0),
        _ => format!("{value:.4}"),
    }
}

fn thousands(value: f64) -> String {
    if !(10.0..1e15).contains(&value) {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_rates_are_grouped_and_small_ones_have_a_decimal() {
        assert_eq!(thousands(1_234_567.2), "1,234,567");
        assert_eq!(thousands(999.6), "1,000");
        assert_eq!(thousands(3.25), "3.2");
    }

    #[test]
    fn a_new_seed_forgets_the_numbers_of_the_one_before() {
        let mut last = Last::default();
        last.hear(&Event::Evaluated {
            round: 1,
            metrics: [("accuracy".to_owned(), 0.5)].into(),
            seconds: 0.0,
        });
        assert_eq!(last.numbers(), "accuracy 50.00 %");
        last.hear(&Event::Seed {
            seed: 2,
            index: 2,
            of: 2,
        });
        assert_eq!(last.numbers(), "");
    }
}
