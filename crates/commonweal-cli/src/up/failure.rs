//! Why a federation of processes does not start, or stops.

use std::io;
use std::path::PathBuf;

use commonweal_disk::file::FileError;
use thiserror::Error;

use super::MOST_NODES;
use crate::command::server::ServerFailure;
use crate::exit::Exit;

/// Why the processes cannot work.
#[derive(Debug, Error)]
pub enum UpError {
    /// More processes than a machine has room for.
    #[error(
        "the job has {clients} clients, and `up` starts a process for each: at most {MOST_NODES}"
    )]
    TooMany {
        /// Clients of the job.
        clients: usize,
    },
    /// A process cannot be started.
    #[error("{name} cannot be started: {source}")]
    Start {
        /// Its name.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// A process ended before the run did.
    #[error("{name} ended{}{}{}", if how.is_empty() { "" } else { ": " }, how, said(lines))]
    Ended {
        /// Its name.
        name: String,
        /// Its exit status.
        how: String,
        /// The last lines of its log.
        lines: Vec<String>,
        /// Its log.
        log: PathBuf,
    },
    /// The server's store.
    #[error(transparent)]
    Server(#[from] ServerFailure),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl UpError {
    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::TooMany { .. } => Exit::Usage,
            Self::Server(error) => error.exit(),
            Self::Start { .. } | Self::Ended { .. } | Self::File(_) => Exit::Failed,
        }
    }

    /// What to do next.
    pub(crate) fn next(&self) -> Option<String> {
        match self {
            Self::TooMany { .. } => Some(
                "`commonweal simulate` runs any number of clients and ends in the same model; \
                 --set simulation.clients=20 makes the federation smaller"
                    .to_owned(),
            ),
            Self::Ended { log, .. } => Some(format!(
                "its log is {}; --dir keeps the files of all processes",
                log.display()
            )),
            _ => None,
        }
    }
}

fn said(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| format!("\n  {line}"));
    match lines.len() {
        0 => String::new(),
        _ => format!("; its last words:{}", lines.collect::<String>()),
    }
}
