//! `commonweal runs`: the runs in the folder of the runs, with their results.

use clap::Args;
use commonweal_disk::folder::{RunFolder, list_runs};
use commonweal_disk::observer::Named;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::metric;
use crate::run_record;
use crate::text_table::TextTable;

/// The arguments.
#[derive(Debug, Args)]
pub struct Runs {}

/// One run.
#[derive(Serialize)]
struct Line {
    run: String,
    path: String,
    finished: bool,
    rounds: u64,
    seeds: usize,
    metric: Option<Named>,
    deviation: Option<f64>,
    seconds: Option<f64>,
    digest: Option<String>,
}

impl Runs {
    /// Prints a line a run.
    ///
    /// # Errors
    /// If the folder of the runs cannot be read. A run that cannot be read is a warning.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let console = &context.console;
        let folders = list_runs(&context.global.runs_dir)?;
        let mut table = TextTable::new(&["run", "rounds", "seeds", "metric", "value", "seconds"]);
        for folder in &folders {
            match line(folder) {
                Ok(line) => {
                    console.event("run", &line);
                    table.row(cells(&line));
                }
                Err(failure) => console.warn(format_args!("{}: {failure}", folder.name())),
            }
        }
        if folders.is_empty() {
            let runs = context.global.runs_dir.display();
            console.note(format_args!(
                "no runs in {runs} yet; `commonweal simulate` makes one"
            ));
        } else {
            console.line(table);
        }
        Ok(Exit::Success)
    }
}

fn line(folder: &RunFolder) -> Result<Line, Failure> {
    let run = folder.name();
    let path = folder.path().display().to_string();
    let Some(summary) = run_record::summary(folder)? else {
        let rounds = run_record::history(folder)?
            .last()
            .map_or(0, |row| row.round);
        return Ok(Line {
            run,
            path,
            finished: false,
            rounds,
            seeds: 0,
            metric: None,
            deviation: None,
            seconds: None,
            digest: None,
        });
    };
    let judged = summary.judged();
    Ok(Line {
        run,
        path,
        finished: true,
        rounds: summary.seeds.first().map_or(0, |seed| seed.rounds),
        seeds: summary.seeds.len(),
        metric: Some(Named {
            name: summary.metric.clone(),
            value: judged.map(|spread| spread.mean),
        }),
        deviation: judged.and_then(|spread| spread.deviation),
        seconds: Some(summary.seconds),
        digest: Some(summary.digest),
    })
}

fn cells(line: &Line) -> Vec<String> {
    let name = line.metric.as_ref().map_or("", |named| named.name.as_str());
    let value = match line.metric.as_ref().and_then(|named| named.value) {
        Some(value) => match line.deviation {
            Some(deviation) => format!("{} ± {}", metric(name, value), metric(name, deviation)),
            None => metric(name, value),
        },
        None if line.finished => "–".to_owned(),
        None => format!("unfinished: commonweal resume {}", line.path),
    };
    vec![
        line.run.clone(),
        line.rounds.to_string(),
        line.seeds.to_string(),
        name.to_owned(),
        value,
        line.seconds
            .map_or(String::new(), |seconds| format!("{seconds:.1}")),
    ]
}
