//! The last lines of a run, simulated or deployed: what it came to.

use std::fmt::Display;
use std::path::Path;

use commonweal_disk::record::{BaselineSummary, Summary};

use crate::console::Console;
use crate::progress::metric;

/// Prints the result of a run, and where its files are.
pub(crate) fn print(
    console: &Console,
    summary: &Summary,
    folder: Option<&Path>,
    report: Option<&Path>,
) {
    console.line(judged(summary));
    for baseline in &summary.baselines {
        console.line(compared(summary, baseline));
    }
    if let Some(expected) = &summary.expected {
        let bound = metric(&expected.metric, expected.bound);
        let side = if summary.higher_is_better {
            "at least"
        } else {
            "at most"
        };
        let met = if expected.met { "reached" } else { "missed" };
        console.line(line("expected", format_args!("{side} {bound}: {met}")));
    }
    let rounds = summary.seeds.first().map_or(0, |seed| seed.rounds);
    console.line(line(
        "rounds",
        format_args!("{rounds} in {:.1} s", summary.seconds),
    ));
    console.line(line("digest", &summary.digest));
    let Some(folder) = folder else {
        return;
    };
    let model = folder.join(&summary.model);
    console.line(line("model", model.display()));
    if let Some(report) = report {
        console.line(line("report", report.display()));
    }
}

/// Such as `accuracy              96.41 % ± 0.35 % over 5 seeds, 95 % interval ± 0.43 %`.
fn judged(summary: &Summary) -> String {
    let name = &summary.metric;
    let Some(spread) = summary.judged() else {
        return line(name, "–");
    };
    let mut text = line(name, metric(name, spread.mean));
    if let (Some(deviation), Some(interval)) = (spread.deviation, spread.interval) {
        text.push_str(&format!(
            " ± {} over {} seeds, 95 % interval ± {}",
            metric(name, deviation),
            spread.values.len(),
            metric(name, interval)
        ));
    }
    text
}

/// A baseline's value of the metric that the federated model is judged by; what it means is in the report.
fn compared(summary: &Summary, baseline: &BaselineSummary) -> String {
    let name = &summary.metric;
    let Some(spread) = baseline.metrics.get(name) else {
        return line(&baseline.name, "–");
    };
    let deviation = spread
        .deviation
        .map(|deviation| format!(" ± {}", metric(name, deviation)));
    let value = metric(name, spread.mean) + &deviation.unwrap_or_default();
    line(&baseline.name, value)
}

/// A name and what it is.
fn line(name: &str, value: impl Display) -> String {
    format!("{name:<21} {value}")
}
