//! `commonweal submit`: hands a job to the server, and watches it.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use commonweal_disk::file::FileError;
use commonweal_wire::control::{RunInfo, Submission};
use serde::Serialize;

use super::watch;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::job_file::JobFile;
use crate::remote::Remote;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
The server is that of `commonweal login`. Ctrl-C leaves the run going; `commonweal watch RUN` comes back to it.

Examples:
  commonweal submit job.toml
  commonweal submit job.toml --detach --set deployment.clients=3")]
pub struct Submit {
    /// The job file
    pub job: PathBuf,
    /// Hand it in and come back at once
    #[arg(long)]
    pub detach: bool,
}

/// The `submitted` event.
#[derive(Serialize)]
struct Submitted<'a> {
    run: &'a RunInfo,
}

impl Submit {
    /// Hands the job in; without `--detach`, shows it to its end.
    ///
    /// # Errors
    /// A job with faults, a job that the server refuses, a run that fails.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let file = JobFile::read(&self.job, &context.global)?;
        let submission = submission(&file)?;
        let remote = Remote::open()?;
        let run = remote.submit(&submission)?;
        context.console.event("submitted", &Submitted { run: &run });
        let nodes = format_args!("{} on {}", run.id, remote.account().url);
        if !self.detach {
            context.console.note(nodes);
            return watch::to_its_end(context, &remote, &run.id);
        }
        context.console.line(format_args!(
            "{nodes}\nwatch it with: commonweal watch {}",
            run.id
        ));
        Ok(Exit::Success)
    }
}

/// What the server gets: the job with everything that the command line changes, and the model that it begins with.
pub(super) fn submission(file: &JobFile) -> Result<Submission, Failure> {
    let base = file.path.as_deref().and_then(Path::parent);
    let initial = match &file.job.model.init {
        None => None,
        Some(init) => {
            let path = base.unwrap_or(Path::new("")).join(init);
            let bytes = fs::read(&path).map_err(|error| FileError::of_reading(&path, error))?;
            Some(STANDARD.encode(bytes))
        }
    };
    Ok(Submission {
        job: file.job.to_toml(),
        initial,
    })
}
