//! `commonweal simulate`: trains on this machine, as a federation would.

use std::path::{Path, PathBuf};

use clap::Args;
use commonweal_sim::Simulation;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::job_file::JobFile;
use crate::template::Template;
use crate::training;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commonweal simulate                                    # handwritten digits, embedded
  commonweal simulate job.toml --seeds 5
  commonweal simulate job.toml --set training.epochs=2 --set \"model.hidden=[100]\"

Ctrl-C finishes the round and leaves a checkpoint that `commonweal resume` goes on from;
a second Ctrl-C stops at once.")]
pub struct Simulate {
    /// The job file; without it, a federation on embedded data
    pub job: Option<PathBuf>,
}

impl Simulate {
    /// Trains, and writes a run folder.
    ///
    /// # Errors
    /// A job or data with faults; a training that is abandoned.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let file = match &self.job {
            Some(path) => JobFile::read(path, &context.global)?,
            None => JobFile::embedded(Template::Digits.job(), &context.global)?,
        };
        let base = file.path.as_deref().and_then(Path::parent);
        let environment = training::environment(context, base.unwrap_or("".as_ref()).to_path_buf());
        training::run(context, environment, |environment| {
            Ok(Simulation::new(file.job, environment)?)
        })
    }
}
