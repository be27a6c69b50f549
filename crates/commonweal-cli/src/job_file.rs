//! The job that a command works on: a file, or the embedded one, with what the command line changes.

use std::path::{Path, PathBuf};

use commonweal_core::job::Job;
use commonweal_disk::file;

use crate::arguments::Global;
use crate::failure::Failure;

/// A job with the text that it was read from.
#[derive(Clone, Debug)]
pub struct JobFile {
    /// Where it lies; none for the embedded one.
    pub path: Option<PathBuf>,
    /// Its text, as given.
    pub text: String,
    /// What the command line changes in it, `key=value`, in order.
    pub overrides: Vec<String>,
    /// The job.
    pub job: Job,
}

impl JobFile {
    /// Reads the job file at `path`.
    ///
    /// # Errors
    /// [`Failure::File`], or [`Failure::Job`] with every fault of it.
    pub fn read(path: &Path, global: &Global) -> Result<Self, Failure> {
        let text = file::read_text(path).map_err(Failure::NoJob)?;
        Self::parse(Some(path.to_path_buf()), text, overrides(global))
    }

    /// Reads a job that is part of the program.
    ///
    /// # Errors
    /// [`Failure::Job`], which then comes from the command line.
    pub fn embedded(text: &str, global: &Global) -> Result<Self, Failure> {
        Self::parse(None, text.to_owned(), overrides(global))
    }

    fn parse(path: Option<PathBuf>, text: String, overrides: Vec<String>) -> Result<Self, Failure> {
        match Job::parse_with(&text, &overrides) {
            Ok(job) => Ok(Self {
                path,
                text,
                overrides,
                job,
            }),
            Err(errors) => Err(Failure::Job { path, errors }),
        }
    }
}

/// What the flags say, as overrides: `--set` first, so that a flag of its own wins.
fn overrides(global: &Global) -> Vec<String> {
    let mut overrides = global.set.clone();
    let flags = [
        ("seed", global.seed.map(|seed| seed.to_string())),
        (
            "simulation.seeds",
            global.seeds.map(|seeds| seeds.to_string()),
        ),
        (
            "simulation.threads",
            global.threads.map(|threads| threads.to_string()),
        ),
    ];
    for (key, value) in flags {
        overrides.extend(value.map(|value| format!("{key}={value}")));
    }
    overrides
}
