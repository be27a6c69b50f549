//! Finding a run by its name or path, and reading what it says about itself.

use std::fs::File;
use std::path::{Path, PathBuf};

use commonweal_sim::file::{self, FileError};
use commonweal_sim::folder::{RunFolder, list_runs};
use commonweal_sim::history::{RoundRow, read_history};
use commonweal_sim::record::Summary;

use crate::context::Context;
use crate::failure::Failure;
use crate::nearest::nearest;

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
    match serde_json::from_str(&text) {
        Ok(summary) => Ok(Some(summary)),
        Err(error) => Err(Failure::Record {
            path,
            reason: error.to_string(),
        }),
    }
}

/// The rounds so far; none before the first.
///
/// # Errors
/// If `history.csv` is there and cannot be read.
pub fn history(folder: &RunFolder) -> Result<Vec<RoundRow>, Failure> {
    let path = folder.history();
    if !path.exists() {
        return Ok(Vec::new());
    }
    let file = File::open(&path).map_err(|source| FileError::of(&path, source))?;
    read_history(file).map_err(|error| Failure::Record {
        path,
        reason: error.to_string(),
    })
}
