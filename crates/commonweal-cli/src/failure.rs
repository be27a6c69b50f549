//! Why a command failed, what to do next, and the exit code: as text or as one `error` event.

use std::path::{Path, PathBuf};

use commonweal_core::SnapshotError;
use commonweal_core::job::nearest;
use commonweal_core::job::reference::NoSuchKey;
use commonweal_core::job::{self, JobError, JobErrors, Place};
use commonweal_data::registry;
use commonweal_data::table::SchemaError;
use commonweal_disk::file::FileError;
use commonweal_disk::model_file::ModelFileError;
use commonweal_disk::{JsonError, SourceError};
use commonweal_server::config::ConfigError;
use commonweal_sim::checkpoint::CheckpointError;
use commonweal_sim::states::StateError;
use commonweal_sim::{PredictError, RowsError, SimulationError};
use serde::Serialize;
use thiserror::Error;

use crate::bench::WatchError;
use crate::bench::server::LoadError;
use crate::command::node::NodeFailure;
use crate::command::server::ServerFailure;
use crate::console::Console;
use crate::exit::Exit;
use crate::remote::RemoteError;
use crate::up::UpError;

/// Why a command failed.
#[derive(Debug, Error)]
pub enum Failure {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// A job file that is not there or cannot be read.
    #[error("no job file: {0}")]
    NoJob(FileError),
    /// A job with faults.
    #[error("{}", faults(path.as_deref(), errors))]
    Job {
        /// The file; none for a job that is part of the program.
        path: Option<PathBuf>,
        /// Its faults.
        errors: JobErrors,
    },
    /// A key that a job file does not have.
    #[error(transparent)]
    NoKey(#[from] NoSuchKey),
    /// A simulation that cannot start or go on.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// Rows of a file that a model cannot be measured or used on.
    #[error("{}: {source}", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<RowsError>,
    },
    /// Rows of a run's own data that its model cannot be used on.
    #[error(transparent)]
    OwnRows(Box<RowsError>),
    /// A model that cannot be used here.
    #[error(transparent)]
    Model(#[from] PredictError),
    /// A resumed run that was to get another job.
    #[error("a resumed run keeps its own job: --set, --seed and --seeds do not go with it")]
    OtherJob,
    /// A run that has no rounds left.
    #[error("{} is finished", run.display())]
    AlreadyFinished {
        /// The run folder.
        run: PathBuf,
    },
    /// A table that a job cannot be made for.
    #[error("{}: {source}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SchemaError,
    },
    /// A table with too little to learn from.
    #[error("{}: {reason}", path.display())]
    TooLittle {
        /// The file.
        path: PathBuf,
        /// What is missing, and what to do.
        reason: String,
    },
    /// No data set of that name.
    #[error("there is no data set {name:?}")]
    NoDataset {
        /// What was asked for.
        name: String,
        /// The nearest name that there is.
        nearest: Option<String>,
    },
    /// No published result of that name.
    #[error("there is no published result {name:?} to rerun")]
    NotPublished {
        /// What was asked for.
        name: String,
        /// The nearest name that there is.
        nearest: Option<String>,
    },
    /// Other settings than the paper's.
    #[error(
        "a published result is rerun with its exact settings: --set and --seeds do not go with it"
    )]
    FixedSettings,
    /// No benchmark of that name.
    #[error("there is no benchmark {name:?}")]
    NoBenchmark {
        /// What was asked for.
        name: String,
        /// The nearest name that there is.
        nearest: Option<String>,
    },
    /// A benchmark that could not run.
    #[error("{name}: {source}")]
    Bench {
        /// Its name.
        name: &'static str,
        /// Why not.
        source: WatchError,
    },
    /// A server under load that could not be measured.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// No signal handler.
    #[error("Ctrl-C cannot be caught: {0}")]
    Signal(std::io::Error),
    /// Something is where a new file or folder was to be.
    #[error("{} already exists and is not overwritten", path.display())]
    Exists {
        /// The file or folder.
        path: PathBuf,
    },
    /// No run of that name.
    #[error("no run {name:?} in {}", folder.display())]
    NoRun {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// The nearest name of a run that exists.
        nearest: Option<String>,
    },
    /// A run without the results that were asked for.
    #[error("{} is not finished", run.display())]
    Unfinished {
        /// The run folder.
        run: PathBuf,
    },
    /// A run whose clients' rows are at nodes.
    #[error("{} was deployed: its clients' rows are at its nodes and nowhere else", run.display())]
    Elsewhere {
        /// The run folder.
        run: PathBuf,
    },
    /// A metric that a run did not measure.
    #[error("{} has no metric {metric:?}", run.display())]
    NoMetric {
        /// The run folder.
        run: PathBuf,
        /// What was asked for.
        metric: String,
        /// What it measured.
        known: Vec<String>,
    },
    /// A model that only its trainer knows, and nothing here that could tell it.
    #[error(
        "model.kind = \"external\" leaves the model to the trainer {trainer:?}, and the server needs to know it: add \
         [simulation.trainers] {trainer} = {{ command = [\"python\", \"train.py\"] }} to the job, which is started \
         here once to declare it, or name its file in model.init"
    )]
    NoInitialModel {
        /// The trainer's name.
        trainer: String,
    },
    /// The server of `commonweal login`.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A server, or an administrator's command.
    #[error(transparent)]
    Server(#[from] ServerFailure),
    /// A federation of processes.
    #[error(transparent)]
    Up(#[from] UpError),
    /// A server's settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A node's command.
    #[error(transparent)]
    Node(#[from] NodeFailure),
    /// A run on a server that came to nothing.
    #[error("{run} failed{}", because(reason))]
    RunFailed {
        /// The run.
        run: String,
        /// Why.
        reason: Option<String>,
    },
    /// A run on a server that somebody ended.
    #[error("{run} was cancelled{}", because(reason))]
    RunCancelled {
        /// The run.
        run: String,
        /// By whom.
        reason: Option<String>,
    },
    /// Nothing where a key was asked for.
    #[error("no key was given: it is asked for on a terminal, else read from standard input")]
    NoKeyGiven,
    /// Standard input cannot be read.
    #[error("standard input cannot be read: {0}")]
    StandardInput(std::io::Error),
    /// A file of a run folder that does not say what it should.
    #[error("{} cannot be read: {reason}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// One thing that is wrong in a file of the user's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// Key of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The nearest key that exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
    /// The whole sentence.
    pub message: String,
}

/// The `error` event.
#[derive(Serialize)]
struct ErrorEvent<'a> {
    code: u8,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Problem]>::is_empty")]
    problems: &'a [Problem],
}

impl Failure {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Simulation(error) => exit_of(error),
            Self::OtherJob | Self::AlreadyFinished { .. } => Exit::Usage,
            Self::Model(PredictError::OtherTrainer { .. }) => Exit::Refused,
            Self::Model(_) => Exit::Failed,
            Self::Rows { source, .. } | Self::OwnRows(source) => match **source {
                RowsError::NoRow { .. } => Exit::Usage,
                RowsError::OtherShape { .. }
                | RowsError::Predict(PredictError::OtherTrainer { .. }) => Exit::Refused,
                _ => Exit::Failed,
            },
            Self::Remote(error) => error.exit(),
            Self::Node(error) => error.exit(),
            Self::Server(error) => error.exit(),
            Self::Up(error) => error.exit(),
            Self::RunFailed { .. } | Self::RunCancelled { .. } => Exit::Abandoned,
            Self::File(_) | Self::Signal(_) | Self::Record { .. } | Self::StandardInput(_) => {
                Exit::Failed
            }
            Self::Schema { source, .. } => match source {
                SchemaError::Csv(_) => Exit::Failed,
                _ => Exit::Usage,
            },
            Self::TooLittle { .. } | Self::Bench { .. } | Self::Load(_) => Exit::Failed,
            Self::Exists { .. }
            | Self::NoRun { .. }
            | Self::NoJob(_)
            | Self::Job { .. }
            | Self::NoMetric { .. }
            | Self::NoBenchmark { .. }
            | Self::NotPublished { .. }
            | Self::FixedSettings
            | Self::NoDataset { .. }
            | Self::Unfinished { .. }
            | Self::Elsewhere { .. }
            | Self::NoKeyGiven
            | Self::NoInitialModel { .. }
            | Self::Config(_)
            | Self::NoKey(_) => Exit::Usage,
        }
    }

    /// What to do next, where the message does not say it already.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        match self {
            Self::Exists { .. } => Some("choose another name, or move it away".to_owned()),
            Self::NoRun {
                nearest: Some(name),
                ..
            } => Some(format!(
                "did you mean {name:?}? `commonweal runs` lists them all"
            )),
            Self::NoRun { .. } => {
                Some("`commonweal runs` lists the runs; --runs-dir names another folder".to_owned())
            }
            Self::NoDataset { nearest, .. } => {
                let meant = nearest
                    .as_ref()
                    .map(|name| format!("did you mean {name:?}? "));
                let meant = meant.unwrap_or_default();
                Some(format!("{meant}`commonweal data list` lists them all"))
            }
            Self::NotPublished { nearest, .. } => {
                let meant = nearest
                    .as_ref()
                    .map(|name| format!("did you mean {name:?}? "));
                let meant = meant.unwrap_or_default();
                Some(format!(
                    "{meant}`commonweal reproduce --list` lists them all"
                ))
            }
            Self::NoBenchmark { nearest, .. } => {
                let meant = nearest
                    .as_ref()
                    .map(|name| format!("did you mean {name:?}? "));
                let meant = meant.unwrap_or_default();
                Some(format!("{meant}`commonweal bench --list` lists them all"))
            }
            Self::Simulation(SimulationError::Source(SourceError::Unknown { name, .. })) => {
                let known = registry::all().iter().map(|known| known.name);
                nearest(name, known).map(|name| format!("did you mean {name:?}?"))
            }
            Self::Simulation(error) => file_of(error).and_then(next_of_file),
            Self::OtherJob => Some("start a new run with `commonweal simulate`".to_owned()),
            Self::AlreadyFinished { run } => Some(format!(
                "`commonweal evaluate {}` measures its model",
                run.display()
            )),
            Self::Unfinished { run } => {
                Some(format!("`commonweal resume {}` finishes it", run.display()))
            }
            Self::Config(_) => Some(
                "`commonweal config explain` tells every setting, and where it is from".to_owned(),
            ),
            Self::Remote(error) => error.next(),
            Self::Node(error) => error.next(),
            Self::Server(error) => error.next(),
            Self::Up(error) => error.next(),
            Self::RunFailed { run, .. } | Self::RunCancelled { run, .. } => Some(format!(
                "`commonweal logs {run}` tells what happened; `commonweal resume {run}` goes on"
            )),
            Self::Elsewhere { run } => Some(format!(
                "`commonweal evaluate {0} --data FILE` and `commonweal predict {0} --input FILE` take rows of yours; \
                 at a node, `commonweal node report` measures it",
                run.display()
            )),
            Self::NoMetric { known, .. } => Some(format!("it has {}", known.join(", "))),
            Self::NoJob(_) => Some(
                "`commonweal new NAME --template digits` writes a job file to start from"
                    .to_owned(),
            ),
            Self::Job { .. } => {
                Some("`commonweal job explain KEY` says what a key means and may be".to_owned())
            }
            _ => None,
        }
    }

    /// What is wrong in the user's files, one by one.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Job { path, errors } => {
                let problem = |error| Problem::of(path.as_deref(), error);
                errors.iter().map(problem).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Problem {
    fn of(path: Option<&Path>, error: &JobError) -> Self {
        let (line, column) = match error.place {
            Place::File { line, column } => (Some(line), Some(column)),
            Place::Override(_) | Place::Manifest => (None, None),
        };
        let nearest = match &error.problem {
            job::Problem::UnknownKey { nearest, .. }
            | job::Problem::UnknownWord { nearest, .. } => nearest.clone(),
            _ => None,
        };
        Self {
            file: path
                .filter(|_| line.is_some())
                .map(|path| path.display().to_string()),
            line,
            column,
            key: Some(error.key.clone()).filter(|key| !key.is_empty()),
            nearest,
            message: error.to_string(),
        }
    }
}

/// The exit code of a simulation that cannot start or go on.
fn exit_of(error: &SimulationError) -> Exit {
    use SimulationError as E;
    match error {
        E::Abandoned { .. } | E::PrepareAbandoned { .. } => Exit::Abandoned,
        E::Job(_)
        | E::Partition(_)
        | E::Model(_)
        | E::RunSpec(_)
        | E::UnknownTrainer { .. }
        | E::NoExternalModel
        | E::Source(SourceError::Unknown { .. }) => Exit::Usage,
        E::OtherJob { .. }
        | E::OtherSimulation { .. }
        | E::Snapshot {
            source:
                SnapshotError::OtherJob { .. } | SnapshotError::OtherData | SnapshotError::OtherModel,
            ..
        }
        | E::Checkpoint(CheckpointError::OtherSimulation { .. }) => Exit::Refused,
        _ => Exit::Failed,
    }
}

/// The file that a simulation could not write or read, if that is the matter.
fn file_of(error: &SimulationError) -> Option<&FileError> {
    use SimulationError as E;
    match error {
        E::File(error)
        | E::Checkpoint(CheckpointError::File(error))
        | E::ModelFile(ModelFileError::File(error))
        | E::Record(JsonError::File(error))
        | E::State(StateError::File(error)) => Some(error),
        _ => None,
    }
}

/// What to do about a run folder's file.
fn next_of_file(error: &FileError) -> Option<String> {
    match error {
        FileError::DiskFull { .. } => {
            Some("`commonweal resume` goes on from the last checkpoint".to_owned())
        }
        FileError::Denied { .. } => {
            Some("--runs-dir FOLDER chooses another folder for runs".to_owned())
        }
        _ => None,
    }
}

/// A line a fault, with the place in front as compilers have it.
fn faults(path: Option<&Path>, errors: &JobErrors) -> String {
    let line = |error: &JobError| match (&error.place, path) {
        (Place::File { line, column }, Some(path)) => {
            format!("{}:{line}:{column}: {}", path.display(), error.problem)
        }
        _ => error.to_string(),
    };
    let lines: Vec<String> = errors.iter().map(line).collect();
    lines.join("\n")
}

/// A reason, where there is one.
fn because(reason: &Option<String>) -> String {
    reason
        .as_ref()
        .map_or(String::new(), |reason| format!(": {reason}"))
}

/// Says why a command failed and returns its exit code.
pub(crate) fn report(console: &Console, failure: &Failure) -> Exit {
    let message = failure.to_string();
    let next = failure.next();
    let exit = failure.exit();
    say(
        console,
        exit,
        &message,
        next.as_deref(),
        &failure.problems(),
    );
    exit
}

/// Says what is wrong with the arguments, as an event.
pub(crate) fn report_usage(console: &Console, error: &clap::Error) {
    let text = error.to_string();
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("Usage:"));
    let message = lines.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let next: Vec<&str> = lines.collect();
    say(console, Exit::Usage, message, Some(&next.join("; ")), &[]);
}

fn say(console: &Console, exit: Exit, message: &str, next: Option<&str>, problems: &[Problem]) {
    if console.is_json() {
        let body = ErrorEvent {
            code: exit.code(),
            message,
            next,
            problems,
        };
        console.event("error", &body);
        return;
    }
    console.error(message, next);
}
