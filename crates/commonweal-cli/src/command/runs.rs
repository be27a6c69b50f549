//! `commonweal runs`: the runs in the folder of the runs, and those on the server that one is logged in to.

use clap::Args;
use commonweal_disk::folder::{RunFolder, list_runs};
use commonweal_disk::observer::Named;
use commonweal_wire::control::{RunInfo, RunState};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::metric;
use crate::remote::{Remote, RemoteError};
use crate::run_record;
use crate::text_table::TextTable;

/// The arguments.
#[derive(Debug, Args)]
pub struct Runs {
    /// Those of this machine only; no server is asked
    #[arg(long)]
    pub local: bool,
}

/// One run.
#[derive(Serialize)]
struct Line {
    run: String,
    /// `here`, or the server's address.
    place: String,
    /// The run folder; none of a run on a server.
    path: Option<String>,
    state: RunState,
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
    /// If the folder of the runs cannot be read. A run that cannot be read, or a server that cannot be
    /// reached, is a warning.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let console = &context.console;
        let mut lines = Vec::new();
        for folder in &list_runs(&context.global.runs_dir)? {
            match local(folder) {
                Ok(line) => lines.push(line),
                Err(failure) => console.warn(format_args!("{}: {failure}", folder.name())),
            }
        }
        if !self.local {
            match remote() {
                Ok(remote) => lines.extend(remote),
                Err(RemoteError::NoLogin) => {}
                Err(error) => console.warn(format_args!("{error}; only local runs are listed")),
            }
        }
        let header = [
            "run", "place", "rounds", "seeds", "metric", "value", "seconds",
        ];
        let mut table = TextTable::new(&header);
        for line in &lines {
            console.event("run", line);
            table.row(cells(line));
        }
        if lines.is_empty() {
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

fn local(folder: &RunFolder) -> Result<Line, Failure> {
    let run = folder.name();
    let (place, path) = ("here".to_owned(), Some(folder.path().display().to_string()));
    let Some(summary) = run_record::summary(folder)? else {
        let rounds = run_record::history(folder)?
            .last()
            .map_or(0, |row| row.round);
        return Ok(Line {
            run,
            place,
            path,
            state: RunState::Running,
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
        place,
        path,
        state: RunState::Finished,
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

fn remote() -> Result<Vec<Line>, RemoteError> {
    let remote = Remote::open()?;
    let url = &remote.account().url;
    let runs = remote.runs()?.into_iter();
    Ok(runs.map(|info| on_server(info, url)).collect())
}

fn on_server(info: RunInfo, url: &str) -> Line {
    let seconds = info.ended_at_ms.map(|ended_at_ms| {
        let took_ms = ended_at_ms.saturating_sub(info.submitted_at_ms);
        took_ms as f64 / 1000.0
    });
    Line {
        run: info.id,
        place: url.to_owned(),
        path: None,
        state: info.state,
        finished: info.state == RunState::Finished,
        rounds: info.round,
        seeds: 1,
        metric: info.metric.map(|(name, value)| Named {
            name,
            value: Some(value),
        }),
        deviation: None,
        seconds,
        digest: info.model,
    }
}

fn cells(line: &Line) -> Vec<String> {
    let name = line.metric.as_ref().map_or("", |named| named.name.as_str());
    let value = line.metric.as_ref().and_then(|named| named.value);
    let value = match (value, line.deviation) {
        (Some(value), Some(deviation)) => {
            format!("{} ± {}", metric(name, value), metric(name, deviation))
        }
        (Some(value), None) => metric(name, value),
        (None, _) if line.finished => "–".to_owned(),
        (None, _) => String::new(),
    };
    let value = match (&line.path, line.state) {
        (_, RunState::Finished) => value,
        (Some(path), _) => format!("unfinished: commonweal resume {path}"),
        (None, state) => format!("{} {value}", word(state)).trim_end().to_owned(),
    };
    vec![
        line.run.clone(),
        line.place.clone(),
        line.rounds.to_string(),
        line.seeds.to_string(),
        name.to_owned(),
        value,
        line.seconds
            .map_or(String::new(), |seconds| format!("{seconds:.1}")),
    ]
}

fn word(state: RunState) -> &'static str {
    match state {
        RunState::Waiting => "waiting",
        RunState::Preparing => "preparing",
        RunState::Running => "running",
        RunState::Finished => "finished",
        RunState::Failed => "failed",
        RunState::Cancelled => "cancelled",
    }
}
