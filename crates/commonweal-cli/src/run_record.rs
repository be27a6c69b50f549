//! Finding a run by its name or path, reading what it says about itself, and making its report.

use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};

use commonweal_core::job::nearest;
use commonweal_disk::client_table::read_clients;
use commonweal_disk::file::{self, FileError};
use commonweal_disk::folder::{RunFolder, list_runs};
use commonweal_disk::history::{RoundRow, read_history};
use commonweal_disk::partition_table::PartitionTable;
use commonweal_disk::record::{SeedSummary, Summary};

use crate::context::Context;
use crate::failure::Failure;
use crate::report::Report;

/// The run called `name` in the folder of the runs, or the run folder at that path.
///
/// # Errors
/// [`Failure::NoRun`] with the nearest name.
pub fn find(context: &Context, name: &Path) -> Result<RunFolder, Failure> {
    let runs = &context.global.runs_dir;
    let places: [PathBuf; 2] = [name.to_path_buf(), runs.join(name)];
    if let Some(folder) = places.iter().find_map(|path| RunFolder::open(path).ok()) {
        return Ok(folder);
    }
    let name = name.display().to_string();
    let known: Vec<String> = list_runs(runs)?.iter().map(RunFolder::name).collect();
    let nearest = nearest(&name, known.iter().map(String::as_str)).map(str::to_owned);
    Err(Failure::NoRun {
        name,
        folder: runs.clone(),
        nearest,
    })
}

/// As [`find`], of a run that has its results.
///
/// # Errors
/// [`Failure::NoRun`], [`Failure::Unfinished`].
pub fn finished(context: &Context, name: &Path) -> Result<RunFolder, Failure> {
    let folder = find(context, name)?;
    match summary(&folder)? {
        Some(_) => Ok(folder),
        None => Err(Failure::Unfinished {
            run: folder.path().to_path_buf(),
        }),
    }
}

/// As [`finished`], of a run whose clients' rows are on this machine.
///
/// # Errors
/// [`Failure::NoRun`], [`Failure::Unfinished`], [`Failure::Elsewhere`].
pub fn finished_here(context: &Context, name: &Path) -> Result<RunFolder, Failure> {
    let folder = finished(context, name)?;
    match folder.origin().is_file() {
        true => Ok(folder),
        false => Err(Failure::Elsewhere {
            run: folder.path().to_path_buf(),
        }),
    }
}

/// What a finished run says; none while it is not finished.
///
/// # Errors
/// If `summary.json` is there and cannot be read.
pub fn summary(folder: &RunFolder) -> Result<Option<Summary>, Failure> {
    let path = folder.summary();
    let text = match file::read_text(&path) {
        Ok(text) => text,
        Err(FileError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| record(&path, error))
}

/// The rounds so far; none before the first.
///
/// # Errors
/// If `history.csv` is there and cannot be read.
pub fn history(folder: &RunFolder) -> Result<Vec<RoundRow>, Failure> {
    let path = folder.history();
    match open(&path)? {
        Some(file) => read_history(file).map_err(|error| record(&path, error)),
        None => Ok(Vec::new()),
    }
}

/// Makes `report.html` of a finished run and returns its path.
///
/// # Errors
/// [`Failure::Unfinished`]; a record that cannot be read; a report that cannot be written.
pub fn write_report(folder: &RunFolder) -> Result<PathBuf, Failure> {
    let path = folder.report();
    let html = load(folder)?.html();
    file::write_bytes(&path, html.as_bytes())?;
    Ok(path)
}

fn load(folder: &RunFolder) -> Result<Report, Failure> {
    let summary = summary(folder)?.ok_or_else(|| Failure::Unfinished {
        run: folder.path().to_path_buf(),
    })?;
    let rounds = |seed: &SeedSummary| match seed.folder.as_str() {
        "" => history(folder),
        _ => history(&folder.seed(seed.seed)),
    };
    let histories = summary.seeds.iter().map(rounds);
    let histories = histories.collect::<Result<_, _>>()?;
    let clients = folder.clients();
    let partition = folder.partition();
    Ok(Report {
        run: folder.name(),
        histories,
        job: file::read_text(&folder.job())?,
        clients: match open(&clients)? {
            Some(file) => read_clients(file).map_err(|error| record(&clients, error))?,
            None => Vec::new(),
        },
        partition: match open(&partition)? {
            Some(file) => {
                let table =
                    PartitionTable::read(file).map_err(|error| record(&partition, error))?;
                Some(table).filter(|table| !table.classes.is_empty())
            }
            None => None,
        },
        summary,
    })
}

/// The file, if it is there.
fn open(path: &Path) -> Result<Option<File>, FileError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::of(path, error)),
    }
}

fn record(path: &Path, error: impl Display) -> Failure {
    Failure::Record {
        path: path.to_path_buf(),
        reason: error.to_string(),
    }
}
