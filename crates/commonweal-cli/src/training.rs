//! Running a simulation to its end: what it is given, what is shown of it, what it leaves.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use commonweal_disk::DataPlaces;
use commonweal_disk::folder::RunFolder;
use commonweal_disk::record::{BaselineSummary, Summary};
use commonweal_sim::{Ending, Environment, Finished, Simulation};

use crate::console::Console;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::progress::{Progress, metric};
use crate::run_record;

/// Where a simulation runs, for a job whose paths start from `base`.
pub(crate) fn environment(context: &Context, base: PathBuf) -> Environment {
    let console = context.console.clone();
    Environment {
        places: DataPlaces {
            data: context.data_folder(),
            base,
        },
        runs: Some(context.global.runs_dir.clone()),
        threads: context
            .global
            .threads
            .and_then(|threads| usize::try_from(threads.get()).ok()?.try_into().ok()),
        interrupt: Arc::default(),
        lines: Arc::new(move |line| console.note(line)),
    }
}

/// Runs what `make` makes, shows it, writes the report and says what to try next.
///
/// # Errors
/// [`Failure::Simulation`].
pub(crate) fn run(
    context: &Context,
    environment: Environment,
    make: impl FnOnce(Environment) -> Result<Simulation, Failure>,
) -> Result<Exit, Failure> {
    let console = &context.console;
    let interrupt = Interrupt::listen().map_err(Failure::Signal)?;
    let simulation = make(Environment {
        interrupt: interrupt.flag(),
        ..environment
    })?;
    let mut progress = Progress::new(console, interrupt);
    match simulation.run(&mut progress)? {
        Ending::Finished(finished) => {
            let report = finished
                .folder
                .as_deref()
                .and_then(|folder| report(console, folder));
            progress.conclude();
            print(console, &finished, report.as_deref());
            Ok(Exit::Success)
        }
        Ending::Interrupted { folder, round } => {
            drop(progress);
            let text = match folder {
                Some(folder) => format!(
                    "interrupted after round {round}; go on with: commonweal resume {}",
                    folder.display()
                ),
                None => format!("interrupted after round {round}"),
            };
            console.always(text);
            Ok(Exit::Interrupted)
        }
    }
}

/// Writes the report; a run without one is finished all the same.
fn report(console: &Console, folder: &Path) -> Option<PathBuf> {
    let written = RunFolder::open(folder)
        .map_err(Failure::from)
        .and_then(|folder| run_record::write_report(&folder));
    match written {
        Ok(path) => Some(path),
        Err(failure) => {
            console.warn(format_args!("no report was written: {failure}"));
            None
        }
    }
}

/// The result, and what can be done with it.
fn print(console: &Console, finished: &Finished, report: Option<&Path>) {
    let summary = &finished.summary;
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
    let Some(folder) = &finished.folder else {
        return;
    };
    let model = folder.join(&summary.model);
    console.line(line("model", model.display()));
    if let Some(report) = report {
        console.line(line("report", report.display()));
    }
    let folder = folder.display();
    console.line(format_args!(
        "\nTry next:\n  \
         commonweal evaluate {folder}                 # metrics by client\n  \
         commonweal export {folder} --format torch    # a PyTorch module that loads the model\n  \
         commonweal new my-study --template heart          # a study of your own"
    ));
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
