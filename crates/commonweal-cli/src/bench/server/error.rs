//! Why a measurement under load came to nothing.

use std::io;
use std::path::{Path, PathBuf};

use commonweal_server::store::StoreError;
use thiserror::Error;

use crate::bench::WatchError;

/// Why a figure is missing.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A file, a folder, or the program itself.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A connection to the server, or to the sink beside it.
    #[error("the connection to {peer} broke: {source}")]
    Connection {
        /// Which of them.
        peer: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
    /// The server's process ended.
    #[error("the server ended: {words}")]
    Ended {
        /// Its last words.
        words: String,
    },
    /// The server's certificate cannot be used.
    #[error("the server's certificate: {0}")]
    Certificate(#[from] rustls::Error),
    /// The store of the server's data directory.
    #[error("the server's store: {0}")]
    Store(#[from] StoreError),
    /// A node that the store does not take.
    #[error("a scripted node was not enrolled: {0}")]
    Enrolment(String),
    /// The control API refused.
    #[error("the server answered {status}: {message}")]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// Something did not come.
    #[error("of {expected} nodes {found} {what} within {seconds} s ({trouble}){}", said(explanation.as_deref()))]
    Waited {
        /// What they should have done.
        what: &'static str,
        /// Nodes.
        expected: usize,
        /// Those that did.
        found: usize,
        /// How long it was waited for.
        seconds: u64,
        /// Refusals and broken connections meanwhile.
        trouble: String,
        /// What the server says of the run.
        explanation: Option<String>,
    },
    /// A run ended otherwise than by its last round.
    #[error("run {run} ended without its last round: {reason}")]
    Run {
        /// Its name.
        run: String,
        /// What the server says.
        reason: String,
    },
    /// A run with real nodes.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// Fewer files than connections.
    #[error(
        "{needed} open files are needed and {allowed} allowed: raise the limit with `ulimit -n {needed}`"
    )]
    Files {
        /// Connections, and some.
        needed: usize,
        /// The soft limit.
        allowed: usize,
    },
    /// A task that no scripted node can do.
    #[error("no report can be made for the task {task}: {reason}")]
    Task {
        /// Its name.
        task: String,
        /// Why.
        reason: String,
    },
}

fn said(explanation: Option<&str>) -> String {
    explanation.map_or_else(String::new, |text| format!("; the server: {text}"))
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> LoadError {
    let path = path.to_path_buf();
    move |source| LoadError::File { path, source }
}

pub(super) fn broken(peer: &'static str) -> impl FnOnce(io::Error) -> LoadError {
    move |source| LoadError::Connection { peer, source }
}
