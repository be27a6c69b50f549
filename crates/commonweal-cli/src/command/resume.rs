//! `commonweal resume`: goes on with a run that was interrupted or killed.

use std::path::PathBuf;

use clap::Args;
use commonweal_sim::Simulation;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{run_record, training};

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
The run goes on from its last checkpoint and ends with the same bytes as if it had never
stopped. Its job is that of the run folder: --set, --seed and --seeds are refused.")]
pub struct Resume {
    /// A run folder, or the name of one such as digits-1
    pub run: PathBuf,
}

impl Resume {
    /// Trains the rounds that are left.
    ///
    /// # Errors
    /// A run that does not exist or is finished; a checkpoint that is damaged or of another job.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let global = &context.global;
        if !global.set.is_empty() || global.seed.is_some() || global.seeds.is_some() {
            return Err(Failure::OtherJob);
        }
        let folder = run_record::find(context, &self.run)?;
        if run_record::summary(&folder)?.is_some() {
            return Err(Failure::AlreadyFinished {
                run: folder.path().to_path_buf(),
            });
        }
        let environment = training::environment(context, PathBuf::new());
        training::run(context, environment, |environment| {
            Ok(Simulation::resume(folder.path(), environment)?)
        })
    }
}
