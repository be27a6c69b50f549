//! `commonweal up`: the whole deployment on this machine, a process for each client and one for the server.

use std::path::{Path, PathBuf};

use clap::Args;
use commonweal_core::ClientName;
use commonweal_core::job::{Deployment, Job};
use commonweal_disk::folder::RunFolder;
use commonweal_disk::observer::{Event, Observer as _};
use commonweal_sim::client_names;
use commonweal_wire::control::RunState;

use super::{submit, watch};
use crate::context::Context;
use crate::download;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::following::{Following, Watched};
use crate::interrupt::Interrupt;
use crate::job_file::JobFile;
use crate::progress::Progress;
use crate::remote::Remote;
use crate::template::Template;
use crate::up::{Federation, MOST_NODES, Origin, Place, UpError};
use crate::{run_record, training};

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
One server and one node for each client of the job, each with the rows that `simulate` would deal to it, enrolled
with tokens and talking TLS over real sockets. It ends in the same model as `simulate`, with the same output.

Examples:
  commonweal up                     # handwritten digits, embedded, 20 nodes
  commonweal up job.toml --dir trial    # keeps the files and logs of all processes")]
pub struct Up {
    /// The job file; without it, a federation on embedded data
    pub job: Option<PathBuf>,
    /// Where the processes keep their files and logs [default: a folder that vanishes]
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}

impl Up {
    /// Starts everything, runs the job, writes a run folder, ends everything.
    ///
    /// # Errors
    /// A job or data with faults; a process that dies; a run that fails.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let console = &context.console;
        let mut file = match &self.job {
            Some(path) => JobFile::read(path, &context.global)?,
            None => JobFile::embedded(Template::Digits.job(), &context.global)?,
        };
        if let Some(dir) = &self.dir {
            refuse_used(dir)?;
        }
        let interrupt = Interrupt::listen().map_err(Failure::Signal)?;
        let base = base(&file)?;
        let environment = training::environment(context, base.clone());
        let clients = client_names(&file.job, &environment)?;
        if clients.len() > MOST_NODES {
            let clients = clients.len();
            return Err(UpError::TooMany { clients }.into());
        }
        if file.job.simulation.seeds > 1 {
            console.warn("up runs the first of the job's seeds alone");
            file.job.simulation.seeds = 1;
        }
        file.job.deployment = everybody(&file.job, &clients);
        let data = context.data_folder().map(absolute).transpose()?;
        let origin = Origin {
            base: &base,
            data: data.as_deref(),
        };
        let place = Place::new(self.dir.as_deref())?;
        let mut federation = Federation::start(place, &file.job, origin, &clients)?;
        let Some(account) = federation.enrol(&interrupt)? else {
            return Ok(interrupted(context, 0));
        };
        let remote = Remote::of(account)?;
        let run = remote.submit(&submit::submission(&file)?)?.id;
        let folder = RunFolder::create(&context.global.runs_dir, &file.job.name)?;
        let trial = Trial {
            context,
            interrupt,
            federation,
            remote,
            run,
            folder,
        };
        trial.finish(&file.job, &environment)
    }
}

/// A run that goes on, and where its files will go.
struct Trial<'a> {
    context: &'a Context,
    interrupt: Interrupt,
    federation: Federation,
    remote: Remote,
    run: String,
    folder: RunFolder,
}

impl Trial<'_> {
    /// Shows the run, fetches its files, says what it came to.
    fn finish(
        mut self,
        job: &Job,
        environment: &commonweal_sim::Environment,
    ) -> Result<Exit, Failure> {
        let console = &self.context.console;
        let mut progress = Progress::new(console, self.interrupt.clone());
        let following = Following {
            remote: &self.remote,
            run: &self.run,
            console,
            interrupt: &self.interrupt,
        };
        let (federation, folder) = (&mut self.federation, &self.folder);
        let mut rounds = 0;
        let watched = following.until_over(
            &mut progress,
            || Ok(federation.check()?),
            |event| {
                localise(event, folder);
                if let Event::Round { round, .. } = event {
                    rounds = *round;
                }
            },
        )?;
        match watched {
            Watched::Left => {
                progress.event(&Event::Interrupted {
                    round: rounds,
                    folder: None,
                });
                drop(progress);
                Ok(interrupted(self.context, rounds))
            }
            Watched::Over(RunState::Finished) => {
                commonweal_sim::note_origin(folder, environment, job)?;
                download::download(&self.remote, &self.run, folder.path())?;
                let report = training::report(console, folder.path());
                progress.conclude();
                let summary = run_record::summary(folder)?.ok_or_else(|| Failure::Unfinished {
                    run: folder.path().to_path_buf(),
                })?;
                training::print(console, &summary, Some(folder.path()), report.as_deref());
                Ok(Exit::Success)
            }
            Watched::Over(state) => {
                drop(progress);
                Err(watch::ended(&self.remote, &self.run, state))
            }
        }
    }
}

/// A directory with anything in it is an earlier trial's, or somebody else's.
fn refuse_used(dir: &Path) -> Result<(), Failure> {
    match std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        true => Err(Failure::Exists {
            path: dir.to_path_buf(),
        }),
        false => Ok(()),
    }
}

/// Every client takes part, and every round waits for those that it drew: as in a simulation.
fn everybody(job: &Job, clients: &[ClientName]) -> Deployment {
    Deployment {
        nodes: None,
        require: [].into(),
        clients: u32::try_from(clients.len()).unwrap_or(u32::MAX),
        reproducible: true,
        ..job.deployment.clone()
    }
}

/// Puts this machine's paths into an event of the server's.
fn localise(event: &mut Event, run: &RunFolder) {
    match event {
        Event::Started { folder, .. } => *folder = Some(run.path().to_path_buf()),
        Event::Finished { model, .. } => *model = Some(run.model()),
        _ => {}
    }
}

fn interrupted(context: &Context, round: u64) -> Exit {
    let text = format_args!("interrupted after round {round}; the processes have ended");
    context.console.always(text);
    Exit::Interrupted
}

/// Folder that the job's relative paths start from, absolute.
fn base(file: &JobFile) -> Result<PathBuf, Failure> {
    let base = file.path.as_deref().and_then(Path::parent);
    let base = base.filter(|base| !base.as_os_str().is_empty());
    absolute(base.unwrap_or(Path::new(".")).to_path_buf())
}

fn absolute(path: PathBuf) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(&path);
    absolute.map_err(|error| commonweal_disk::file::FileError::of(&path, error).into())
}
