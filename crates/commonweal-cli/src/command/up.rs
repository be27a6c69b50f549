//! `commonweal up`: the whole deployment on this machine, a process for each client and one for the server.

use std::path::{Path, PathBuf};

use clap::Args;
use commonweal_core::ClientName;
use commonweal_disk::history::read_history;
use commonweal_disk::observer::Event;
use commonweal_sim::{Deployed, DeployedSeed, DrivenSeed, Environment};
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
use crate::training;
use crate::up::{Federation, MOST_NODES, Origin, Place, UpError};

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
One server and one node for each client of the job, each with the rows that `simulate` would deal to it, enrolled
with tokens and talking TLS over real sockets. It ends in the same model as `simulate`, with the same output: each
seed of the job has a federation of its own, one after the other, and the baselines are trained here.

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
        let file = match &self.job {
            Some(path) => JobFile::read(path, &context.global)?,
            None => JobFile::embedded(Template::Digits.job(), &context.global)?,
        };
        if let Some(dir) = &self.dir {
            refuse_used(dir)?;
        }
        let interrupt = Interrupt::listen().map_err(Failure::Signal)?;
        let base = base(&file)?;
        let environment = Environment {
            interrupt: interrupt.flag(),
            ..training::environment(context, base.clone())
        };
        let deployed = Deployed::new(file.job.clone(), environment)?;
        if deployed.clients() as usize > MOST_NODES {
            let clients = deployed.clients() as usize;
            return Err(UpError::TooMany { clients }.into());
        }
        let trial = Trial {
            context,
            interrupt,
            file,
            base,
            data: context.data_folder().map(absolute).transpose()?,
            dir: self.dir.as_deref(),
        };
        trial.run(deployed)
    }
}

/// What every seed's federation is made of.
struct Trial<'a> {
    context: &'a Context,
    interrupt: Interrupt,
    file: JobFile,
    base: PathBuf,
    data: Option<PathBuf>,
    dir: Option<&'a Path>,
}

impl Trial<'_> {
    /// Runs seed after seed, and says what they came to.
    fn run(&self, mut deployed: Deployed) -> Result<Exit, Failure> {
        let mut progress = Progress::new(&self.context.console, self.interrupt.clone());
        let ending = loop {
            let Some(seed) = deployed.next_seed()? else {
                break deployed.finish(&mut progress)?;
            };
            let mut round = 0;
            let driven = self.drive(&deployed, &seed, &mut progress, &mut round)?;
            let is_whole = match driven {
                Some(driven) => deployed.take(&seed, driven, &mut progress)?,
                None => false,
            };
            if !is_whole {
                break deployed.interrupted(round, &mut progress);
            }
        };
        Ok(training::conclude(&self.context.console, progress, ending))
    }

    /// Drives one seed's rounds with a federation of its own, which has ended when this returns; none on Ctrl-C.
    fn drive(
        &self,
        deployed: &Deployed,
        seed: &DeployedSeed,
        progress: &mut Progress<'_>,
        round: &mut u64,
    ) -> Result<Option<DrivenSeed>, Failure> {
        let clients: Vec<ClientName> = seed.clients().collect();
        let origin = Origin {
            base: &self.base,
            data: self.data.as_deref(),
        };
        let job = JobFile {
            job: seed.job().clone(),
            ..self.file.clone()
        };
        let submission = submit::submission(self.context, &job)?;
        let place = Place::new(self.dir.map(|dir| dir.join(seed.folder())).as_deref())?;
        let mut federation = Federation::start(place, seed.job(), origin, &clients)?;
        let Some(account) = federation.enrol(&self.interrupt)? else {
            return Ok(None);
        };
        let remote = Remote::of(account)?;
        let run = remote.submit(&submission)?.id;
        let following = Following {
            remote: &remote,
            run: &run,
            console: &self.context.console,
            interrupt: &self.interrupt,
        };
        let watched = following.until_over(
            progress,
            || Ok(federation.check()?),
            |event| {
                if let Event::Round { round: done, .. } = &event {
                    *round = *done;
                }
                deployed.event(seed, event)
            },
        )?;
        match watched {
            Watched::Left => Ok(None),
            Watched::Over(RunState::Finished) => driven(&remote, &run).map(Some),
            Watched::Over(state) => Err(watch::ended(&remote, &run, state)),
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

/// What a finished run came to.
fn driven(remote: &Remote, run: &str) -> Result<DrivenSeed, Failure> {
    let faulty = |name: &str, reason: String| Failure::Record {
        path: Path::new(run).join(name),
        reason,
    };
    let file = |name| {
        let missing = || faulty(name, "the server does not have it".to_owned());
        remote.file(run, name)?.ok_or_else(missing)
    };
    let summary = download::summary(remote, run)?;
    let summary = summary.and_then(|summary| summary.seeds.into_iter().next());
    let rounds = read_history(file("history.csv")?.as_slice());
    Ok(DrivenSeed {
        summary: summary.ok_or_else(|| faulty("summary.json", "it has no seed".to_owned()))?,
        rounds: rounds.map_err(|error| faulty("history.csv", error.to_string()))?,
        model: file("model.safetensors")?,
    })
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
