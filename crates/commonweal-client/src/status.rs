//! What a running node says of itself, for `node status` in another process.

use std::fmt;

use commonweal_disk::file::FileError;
use commonweal_disk::{JsonError, read_json};
use serde::{Deserialize, Serialize};

use crate::clock::readable;
use crate::folder::NodeFolder;
use crate::plain::Plain;

/// What the node is and does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Its name in every run.
    pub name: String,
    /// The server's address.
    pub server: String,
    /// Fingerprint of the federation's authority; none for a server with a certificate of its own.
    pub authority: Option<String>,
    /// Fingerprint of the node's key.
    pub fingerprint: String,
    /// Whether a process is the node now.
    pub is_running: bool,
    /// Runs that wait for the owner.
    pub waiting: Vec<String>,
    /// What the node said last; none if it never ran.
    pub last: Option<Last>,
}

/// What a running node said last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// When: milliseconds since 1970, UTC.
    pub at_ms: u64,
    /// `connecting`, `connected`, `waiting_for_approval`, `resting` or `stopped`.
    pub state: String,
    /// More of it, such as why there is no connection.
    pub what: String,
    /// What it works on, as `heart-3 train-7`.
    pub working_on: Option<String>,
    /// The last task since its start that it could not do and why, for the owner's eyes; none if it did all.
    #[serde(default)]
    pub not_done: Option<String>,
    /// The server's clock minus this machine's, in milliseconds.
    pub clock_ahead_ms: i64,
}

/// Why that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StatusError(#[from] JsonError);

/// What the node of `folder` said last.
pub(crate) fn read(folder: &NodeFolder) -> Result<Option<Last>, StatusError> {
    match read_json(&folder.status()) {
        Err(JsonError::File(FileError::Missing { .. })) => Ok(None),
        last => Ok(Some(last?)),
    }
}

/// Leaves word. Not synced: it is for a look, not for ever.
pub(crate) fn write(folder: &NodeFolder, last: &Last) -> Result<(), FileError> {
    let path = folder.status();
    let unfinished = path.with_extension("unfinished");
    let write = || {
        std::fs::write(&unfinished, serde_json::to_vec(last)?)?;
        std::fs::rename(&unfinished, &path)
    };
    write().map_err(|error: std::io::Error| FileError::of(&path, error))
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "node         {} of {}", self.name, self.server)?;
        writeln!(f, "fingerprint  {}", self.fingerprint)?;
        let state = match (&self.last, self.is_running) {
            (Some(last), true) => format!("{}{}", last.state.replace('_', " "), detail(&last.what)),
            (None, true) => "starting".to_owned(),
            (Some(last), false) => format!("not running; last seen {}", readable(last.at_ms)),
            (None, false) => "not running: start it with `commonweal node run`".to_owned(),
        };
        write!(f, "state        {state}")?;
        if let (Some(last), true) = (&self.last, self.is_running) {
            if let Some(work) = &last.working_on {
                write!(f, "\nworks on     {work}")?;
            }
            if let Some(task) = &last.not_done {
                write!(f, "\nnot done     {task}")?;
            }
            if last.clock_ahead_ms != 0 {
                let seconds = last.clock_ahead_ms as f64 / 1000.0;
                write!(f, "\nclock        {seconds:+.0} s to the server's: set it")?;
            }
        }
        if !self.waiting.is_empty() {
            let runs = self.waiting.join(", ");
            write!(f, "\nwaiting      {runs}: see `commonweal node show RUN`")?;
        }
        Ok(())
    }
}

fn detail(what: &str) -> String {
    match what {
        "" => String::new(),
        what => format!(": {}", Plain(what)),
    }
}
