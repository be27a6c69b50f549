//! `commonweal submit`: hands a job to the server, and watches it.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use commonweal_wire::control::{RunInfo, Submission};
use serde::Serialize;

use super::watch;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::initial::initial_file;
use crate::job_file::JobFile;
use crate::remote::Remote;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
The server is that of `commonweal login`. Ctrl-C leaves the run going; `commonweal watch RUN` comes back to it.
With `kind = external` in [model] the trainer's command in [simulation.trainers] is started here once: the run
begins with the model that it declares. Without a command, with the file `init` of [model].

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
        let submission = submission(context, &file)?;
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
pub(super) fn submission(context: &Context, file: &JobFile) -> Result<Submission, Failure> {
    let initial = initial_file(context, file)?;
    Ok(Submission {
        job: file.job.to_toml(),
        initial: initial.map(|bytes| STANDARD.encode(bytes)),
    })
}
