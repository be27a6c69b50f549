//! Running a simulation to its end: what it is given, what is shown of it, what it leaves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use commonweal_disk::DataPlaces;
use commonweal_disk::folder::RunFolder;
use commonweal_disk::record::Summary;
use commonweal_sim::{Ending, Environment, Simulation};

use crate::console::Console;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::{result_lines, run_record};

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
    let ending = simulation.run(&mut progress)?;
    Ok(conclude(console, progress, ending))
}

/// Writes the report of what has ended, and says what to try next.
pub(crate) fn conclude(console: &Console, progress: Progress<'_>, ending: Ending) -> Exit {
    match ending {
        Ending::Finished(finished) => {
            let folder = finished.folder.as_deref();
            let report = folder.and_then(|folder| report(console, folder));
            progress.conclude();
            print(console, &finished.summary, folder, report.as_deref());
            Exit::Success
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
            Exit::Interrupted
        }
    }
}

/// Writes the report; a run without one is finished all the same.
pub(crate) fn report(console: &Console, folder: &Path) -> Option<PathBuf> {
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
fn print(console: &Console, summary: &Summary, folder: Option<&Path>, report: Option<&Path>) {
    result_lines::print(console, summary, folder, report);
    let Some(folder) = folder else {
        return;
    };
    let folder = folder.display();
    console.line(format_args!(
        "\nTry next:\n  \
         commonweal evaluate {folder}                 # metrics by client\n  \
         commonweal export {folder} --format torch    # a PyTorch module that loads the model\n  \
         commonweal new my-study --template heart          # a study of your own"
    ));
}
