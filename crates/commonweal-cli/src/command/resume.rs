//! `commonweal resume`: goes on with a run that was interrupted, killed, cancelled or failed: here, or on the server.

use std::path::PathBuf;

use clap::Args;
use commonweal_disk::folder::RunFolder;
use commonweal_sim::Simulation;

use super::watch;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::remote::{Remote, RemoteError};
use crate::{run_record, training};

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
The run goes on from its last checkpoint and ends with the same bytes as if it had never
stopped. Its job is that of the run folder: --set, --seed and --seeds are refused.
A name that is no run of this machine is looked for on the server of `commonweal login`.")]
pub struct Resume {
    /// A run folder, or the name of a run such as digits-1
    pub run: PathBuf,
    /// On a server: come back at once
    #[arg(long)]
    pub detach: bool,
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
        match run_record::find(context, &self.run) {
            Ok(folder) => local(context, &folder),
            Err(Failure::NoRun { name, .. }) if is_name(&name) => match self.remote(context) {
                // Here is no such run either: then it is the name that is wrong.
                Err(Failure::Remote(RemoteError::NoLogin)) => {
                    run_record::find(context, &self.run).and_then(|folder| local(context, &folder))
                }
                ended => ended,
            },
            Err(failure) => Err(failure),
        }
    }

    fn remote(&self, context: &Context) -> Result<Exit, Failure> {
        let remote = Remote::open()?;
        let info = remote.resume(&self.run.to_string_lossy())?;
        context.console.event("resumed", &info);
        if !self.detach {
            return watch::to_its_end(context, &remote, &info.id);
        }
        context.console.line(format_args!(
            "{} goes on after round {}; watch it with: commonweal watch {}",
            info.id, info.round, info.id
        ));
        Ok(Exit::Success)
    }
}

fn local(context: &Context, folder: &RunFolder) -> Result<Exit, Failure> {
    if run_record::summary(folder)?.is_some() {
        return Err(Failure::AlreadyFinished {
            run: folder.path().to_path_buf(),
        });
    }
    let environment = training::environment(context, PathBuf::new());
    training::run(context, environment, |environment| {
        Ok(Simulation::resume(folder.path(), environment)?)
    })
}

/// Whether a text can be the name of a run on a server, and is no path.
fn is_name(text: &str) -> bool {
    !text.contains(['/', '\\']) && text != "." && text != ".."
}
