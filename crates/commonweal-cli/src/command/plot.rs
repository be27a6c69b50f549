//! `commonweal plot`: one metric of several runs by round, in one SVG.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use commonweal_disk::file;
use commonweal_disk::folder::RunFolder;
use commonweal_disk::history::RoundRow;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::comparison;
use crate::run_record;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "Example: commonweal plot runs/a-1 runs/b-1 -o compared.svg")]
pub struct Plot {
    /// Run folders, or their names; unfinished ones too
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The metric [default: the one that the first run is judged by]
    #[arg(long, short)]
    pub metric: Option<String>,
    /// Where the SVG goes [default: stdout]
    #[arg(long, short, value_name = "SVG")]
    pub output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Drawn<'a> {
    metric: &'a str,
    path: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    svg: Option<&'a str>,
}

impl Plot {
    /// Draws.
    ///
    /// # Errors
    /// A run that does not exist, cannot be read or has not measured the metric.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let folders: Vec<RunFolder> = self
            .runs
            .iter()
            .map(|run| run_record::find(context, run))
            .collect::<Result<_, _>>()?;
        let mut runs = Vec::new();
        for folder in &folders {
            runs.push((folder.name(), run_record::history(folder)?));
        }
        let metric = match &self.metric {
            Some(metric) => metric.clone(),
            None => judged(&folders[0], &runs[0].1)?,
        };
        for (folder, (_, rounds)) in folders.iter().zip(&runs) {
            expect_metric(folder, rounds, &metric)?;
        }
        let svg = comparison(&metric, &runs).standalone();
        let console = &context.console;
        let path = self.output.as_deref();
        if let Some(path) = path {
            file::write_bytes(path, svg.as_bytes())?;
            console.line(path.display());
        } else if !console.is_json() {
            console.raw(&svg);
        }
        let drawn = Drawn {
            metric: &metric,
            path,
            svg: path.is_none().then_some(svg.as_str()),
        };
        console.event("plot", &drawn);
        Ok(Exit::Success)
    }
}

/// The metric that the run is judged by; of an unfinished one, the first that it measured.
fn judged(folder: &RunFolder, rounds: &[RoundRow]) -> Result<String, Failure> {
    if let Some(summary) = run_record::summary(folder)? {
        return Ok(summary.metric);
    }
    Ok(measured(rounds)
        .into_iter()
        .next()
        .unwrap_or_else(|| "loss".to_owned()))
}

fn measured(rounds: &[RoundRow]) -> BTreeSet<String> {
    rounds
        .iter()
        .flat_map(|row| row.metrics.keys().cloned())
        .collect()
}

fn expect_metric(folder: &RunFolder, rounds: &[RoundRow], metric: &str) -> Result<(), Failure> {
    let known = measured(rounds);
    if known.contains(metric) {
        return Ok(());
    }
    Err(Failure::NoMetric {
        run: folder.path().to_path_buf(),
        metric: metric.to_owned(),
        known: known.into_iter().collect(),
    })
}
