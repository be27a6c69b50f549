//! `commonweal job`: explains the keys of a job file and checks one without running it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use commonweal_core::job::{Manifest, reference};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::job_file::JobFile;

/// The arguments.
#[derive(Debug, Args)]
pub struct JobCommand {
    /// What to do with it
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with a job file.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// What a key means, its type, unit, range and default; all keys without KEY
    Explain {
        /// A key such as training.batch_size, a section, or a last part alone
        key: Option<String>,
    },
    /// Read a job file and say what is wrong with it, without running it
    Check {
        /// The job file
        job: PathBuf,
    },
}

#[derive(Serialize)]
struct Explanation<'a> {
    key: Option<&'a str>,
    text: &'a str,
}

#[derive(Serialize)]
struct Checked<'a> {
    file: &'a PathBuf,
    name: &'a str,
    rounds: u32,
    manifest: String,
}

impl JobCommand {
    /// Explains or checks.
    ///
    /// # Errors
    /// A key that does not exist; a job file with faults.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let console = &context.console;
        match &self.action {
            Action::Explain { key } => {
                let text = reference::explain(key.as_deref())?;
                let key = key.as_deref();
                console.event("explanation", &Explanation { key, text: &text });
                console.line(text.trim_end());
            }
            Action::Check { job } => {
                let file = JobFile::read(job, &context.global)?;
                let manifest = Manifest::of(&file.job).digest().to_string();
                console.line(format_args!(
                    "{} is a valid job\nmanifest {manifest}",
                    job.display()
                ));
                let checked = Checked {
                    file: job,
                    name: &file.job.name,
                    rounds: file.job.rounds,
                    manifest,
                };
                console.event("checked", &checked);
            }
        }
        Ok(Exit::Success)
    }
}
