//! A node, as its owner handles it: ask, allow, refuse, look, leave.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use commonweal_core::Digest;
use commonweal_data::format_of;
use commonweal_wire::{KeyId, ServerIdentity};
use serde::Serialize;
use tokio::sync::Notify;

use crate::agent::{Agent, AgentError};
use crate::backoff::Pace;
use crate::cache::Cache;
use crate::clock::{now_ms, readable};
use crate::connection::{CALL, CallError, Connection};
use crate::description::Description;
use crate::folder::{FolderError, FolderLock, NodeFolder};
use crate::membership::{Membership, MembershipError};
use crate::plain::Plain;
use crate::record::{Record, RecordEntry, RecordError, RecordLine};
use crate::request::{Decider, Decision, Request, RequestError, Requests};
use crate::runtime::{RuntimeError, runtime};
use crate::settings::{DataPlace, Settings, SettingsError};
use crate::shared::Shared;
use crate::signals::next_signal;
use crate::states::States;
use crate::status::{Status, StatusError};
use crate::trust::{Trust, TrustError};

/// A node that has joined a federation.
#[derive(Debug)]
pub struct Node {
    pub(crate) folder: NodeFolder,
    pub(crate) settings: Settings,
    pub(crate) membership: Membership,
    fingerprint: KeyId,
}

/// Why a node cannot do what its owner asks.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The running node had to stop.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The record does not let itself be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It has not joined, or its files are damaged.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// `node.toml` is faulty.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Another process is this node.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A request cannot be read or decided.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// What a running node says of itself cannot be read.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// Nobody can be trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The server cannot be reached or refuses.
    #[error(transparent)]
    Call(#[from] CallError),
    /// No thread to wait on.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// Runs that have asked for consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestList {
    /// The newest first.
    pub requests: Vec<Request>,
}

/// What the owner decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// The run.
    pub run: String,
    /// The digest of the manifest that was decided about.
    pub manifest: String,
    /// `approved` or `denied`.
    pub decision: String,
    /// Whether a running node takes it up by itself.
    pub is_running: bool,
}

/// The node's data sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataList {
    /// In the order of their names.
    pub data: Vec<DataLine>,
}

/// One data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataLine {
    /// Its name, which the server knows.
    pub name: String,
    /// Where it lies, which the server does not know.
    pub place: String,
    /// Whether something is there.
    pub is_there: bool,
    /// Runs that may use it.
    pub runs: Vec<String>,
}

/// The node's record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordReport {
    /// Whether the chain was checked, and is sound.
    pub is_verified: bool,
    /// In order.
    pub lines: Vec<RecordLine>,
}

/// The node is of no federation any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The server's address.
    pub server: String,
    /// The name that the node had.
    pub name: String,
}

impl Node {
    /// The node in `folder`.
    ///
    /// # Errors
    /// [`NodeError`]: it has not joined, or its files are faulty.
    pub fn open(folder: &Path) -> Result<Self, NodeError> {
        let folder = NodeFolder::at(folder);
        let (membership, key) = Membership::read(&folder)?;
        let settings = Settings::read(&folder.settings())?;
        Ok(Self {
            folder,
            settings,
            membership,
            fingerprint: key.public().id(),
        })
    }

    /// The node's name in every run.
    #[must_use]
    pub fn name(&self) -> &str {
        self.membership.name.as_str()
    }

    /// The fingerprint of its key.
    #[must_use]
    pub fn fingerprint(&self) -> KeyId {
        self.fingerprint
    }

    /// What its owner allows.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Runs that have asked for consent, the newest first.
    ///
    /// # Errors
    /// [`NodeError::Request`].
    pub fn requests(&self) -> Result<RequestList, NodeError> {
        let requests = Requests::of(&self.folder).all()?;
        Ok(RequestList { requests })
    }

    /// What a run asks for, in plain words.
    ///
    /// # Errors
    /// [`NodeError::Request`].
    pub fn show(&self, run: &str) -> Result<Description, NodeError> {
        let requests = Requests::of(&self.folder);
        let request = requests.find(run)?;
        let (_, job) = requests.manifest(&request)?;
        requests.note_shown(&request)?;
        let format = match self.settings.data.get(&job.deployment.data) {
            Some(DataPlace::Files(files)) => {
                let name = files.path.display().to_string();
                files.format.or_else(|| format_of(&name, &job.data))
            }
            Some(DataPlace::Share { .. }) | None => None,
        };
        Ok(Description::of(&request, &job, format))
    }

    /// Lets a run use the data, if it asks with `manifest`; without one, with that which [`Node::show`] showed last, if
    /// it showed any under this name.
    ///
    /// # Errors
    /// [`NodeError::Request`]: it never asked, asks with another manifest, or is over.
    pub fn approve(&self, run: &str, manifest: Option<Digest>) -> Result<Decided, NodeError> {
        let decision = Decision::Approved {
            by: Decider::Owner,
            at_ms: now_ms(),
        };
        let request = Requests::of(&self.folder).approve(run, manifest, decision)?;
        self.decided(request, "by the owner")
    }

    /// Keeps a run from the data, also one that was approved before: what it has already been sent stays with it.
    ///
    /// # Errors
    /// [`NodeError::Request`]: it never asked, or is over.
    pub fn deny(&self, run: &str, reason: &str) -> Result<Decided, NodeError> {
        let decision = Decision::Denied {
            reason: reason.to_owned(),
            at_ms: now_ms(),
        };
        let request = Requests::of(&self.folder).decide(run, decision)?;
        self.decided(request, reason)
    }

    fn decided(&self, request: Request, reason: &str) -> Result<Decided, NodeError> {
        let word = request.decision.word().to_owned();
        let entry = RecordEntry::Decision {
            run: request.run.clone(),
            manifest: request.manifest,
            decision: word.clone(),
            reason: reason.to_owned(),
        };
        Record::of(&self.folder).append(now_ms(), entry)?;
        Ok(Decided {
            run: request.run,
            manifest: request.manifest.to_string(),
            decision: word,
            is_running: self.is_running(),
        })
    }

    /// What the node does, or did when it last ran.
    ///
    /// # Errors
    /// [`NodeError`]: its files are damaged.
    pub fn status(&self) -> Result<Status, NodeError> {
        let waiting = self.requests()?.requests.into_iter();
        let waiting = waiting
            .filter(|request| request.ended.is_none() && request.decision == Decision::Waiting);
        Ok(Status {
            name: self.membership.name.to_string(),
            server: self.membership.url.clone(),
            authority: match self.membership.server {
                ServerIdentity::Authority(digest) => Some(digest.to_string()),
                ServerIdentity::Name(_) => None,
            },
            fingerprint: self.fingerprint.to_string(),
            is_running: self.is_running(),
            waiting: waiting.map(|request| request.run).collect(),
            last: crate::status::read(&self.folder)?,
        })
    }

    /// The node's data sets, and which runs may use them. Opens no file.
    ///
    /// # Errors
    /// [`NodeError::Request`].
    pub fn data(&self) -> Result<DataList, NodeError> {
        let requests = Requests::of(&self.folder);
        let mut allowed: Vec<(String, String)> = Vec::new();
        for request in requests.all()? {
            if request.decision.is_approved() && request.ended.is_none() {
                let (_, job) = requests.manifest(&request)?;
                allowed.push((job.deployment.data, request.run));
            }
        }
        let line = |(name, place): (&String, &DataPlace)| {
            let path: &PathBuf = match place {
                DataPlace::Files(files) => &files.path,
                DataPlace::Share { job, .. } => job,
            };
            let runs = allowed.iter().filter(|(data, _)| data == name);
            DataLine {
                name: name.clone(),
                place: match place {
                    DataPlace::Files(files) => files.path.display().to_string(),
                    DataPlace::Share { job, client } => format!("{client} of {}", job.display()),
                },
                is_there: path.exists(),
                runs: runs.map(|(_, run)| run.clone()).collect(),
            }
        };
        Ok(DataList {
            data: self.settings.data.iter().map(line).collect(),
        })
    }

    /// The node's record; with `verify`, only if nobody has touched it.
    ///
    /// # Errors
    /// [`NodeError::Record`], which names the line.
    pub fn record(&self, verify: bool) -> Result<RecordReport, NodeError> {
        let record = Record::of(&self.folder);
        let lines = match verify {
            true => record.verify()?,
            false => record.lines()?,
        };
        Ok(RecordReport {
            is_verified: verify,
            lines,
        })
    }

    /// Takes the node's key back at the server, and forgets the key, the server, and what was agreed with it. The record
    /// stays.
    ///
    /// # Errors
    /// [`NodeError`]: the node is running, or the server cannot be reached; it is then still a node.
    pub fn leave(self) -> Result<Left, NodeError> {
        let _lock = self.folder.lock()?;
        let connection = self.connection()?;
        let leave = connection.post_empty(commonweal_wire::path::LEAVE, CALL);
        match runtime()?.block_on(leave) {
            Ok(()) => {}
            // Nobody to take it back from.
            Err(error) if error.is_unknown_here() => {}
            Err(error) => return Err(error.into()),
        }
        let entry = RecordEntry::Left {
            server: self.membership.url.clone(),
        };
        Record::of(&self.folder).append(now_ms(), entry)?;
        self.folder.forget_runs().map_err(MembershipError::from)?;
        for path in [self.folder.server(), self.folder.key()] {
            std::fs::remove_file(&path)
                .map_err(|error| commonweal_disk::file::FileError::of(&path, error))
                .map_err(MembershipError::from)?;
        }
        Ok(Left {
            server: self.membership.url,
            name: self.membership.name.to_string(),
        })
    }

    /// Works until `stop` comes to an end, then finishes what is in hand; `stop_now` ends it at once. Blocks.
    ///
    /// # Errors
    /// [`NodeError`]: another process is this node, its key was revoked or is in use elsewhere.
    pub fn run(
        &self,
        stop: impl Future<Output = ()>,
        stop_now: impl Future<Output = ()>,
    ) -> Result<(), NodeError> {
        self.run_at(Pace::NETWORK, stop, stop_now)
    }

    /// As [`Node::run`], with other waits after failures.
    pub(crate) fn run_at(
        &self,
        pace: Pace,
        stop: impl Future<Output = ()>,
        stop_now: impl Future<Output = ()>,
    ) -> Result<(), NodeError> {
        let _lock = self.lock()?;
        let agent = Agent::new(self.shared(pace)?);
        Ok(runtime()?.block_on(agent.run(stop, stop_now))?)
    }

    /// The node's files and its way to the server.
    pub(crate) fn shared(&self, pace: Pace) -> Result<Shared, NodeError> {
        Ok(Shared {
            cache: Cache::of(&self.folder, self.settings.cache_mb),
            record: Record::of(&self.folder),
            requests: Requests::of(&self.folder),
            states: States::of(&self.folder),
            started: Instant::now(),
            folder: self.folder.clone(),
            settings: self.settings.clone(),
            membership: self.membership.clone(),
            connection: self.connection()?,
            pace,
            reconnected: Notify::new(),
        })
    }

    /// Works until the process is told to end (SIGTERM or SIGINT), then finishes what is in hand; a second signal
    /// ends it at once. Blocks.
    ///
    /// # Errors
    /// As [`Node::run`].
    pub fn run_until_signal(&self) -> Result<(), NodeError> {
        self.run(next_signal(), next_signal())
    }

    pub(crate) fn connection(&self) -> Result<Connection, NodeError> {
        let (membership, key) = Membership::read(&self.folder)?;
        let ca_file = self.settings.ca_file.as_deref();
        let trust = Trust::new(membership.server, &membership.url, ca_file)?;
        Ok(Connection::new(&membership.url, trust, key)?)
    }

    pub(crate) fn lock(&self) -> Result<FolderLock, NodeError> {
        Ok(self.folder.lock()?)
    }

    fn is_running(&self) -> bool {
        matches!(self.folder.lock(), Err(FolderError::InUse { .. }))
    }
}

impl fmt::Display for RequestList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.requests.is_empty() {
            return f.write_str("No run has asked this node yet.");
        }
        for (at, request) in self.requests.iter().enumerate() {
            let state = match &request.ended {
                Some(ended) => format!("{}, {}", request.decision.word(), ended.ending),
                None => request.decision.word().to_owned(),
            };
            let asked = readable(request.asked_at_ms);
            let end = if at + 1 < self.requests.len() {
                "\n"
            } else {
                ""
            };
            write!(
                f,
                "{}  {state}  asked by {} on {asked}{end}",
                request.run,
                Plain(&request.submitter)
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_running {
            true => write!(
                f,
                "{} is {}; the server is told at once.\nIts manifest is {}.",
                self.run, self.decision, self.manifest
            ),
            false => write!(
                f,
                "{} is {}; the server is told when the node runs: `commonweal node run`.\nIts manifest is {}.",
                self.run, self.decision, self.manifest
            ),
        }
    }
}

impl fmt::Display for DataList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.data.is_empty() {
            return f.write_str("No data set: add [data.NAME] with `path` to node.toml.");
        }
        for (at, line) in self.data.iter().enumerate() {
            let runs = match line.runs.is_empty() {
                true => "no run may use it".to_owned(),
                false => format!("used by {}", line.runs.join(", ")),
            };
            let missing = if line.is_there {
                ""
            } else {
                " (nothing there)"
            };
            let end = if at + 1 < self.data.len() { "\n" } else { "" };
            write!(f, "{}  {}{missing}  {runs}{end}", line.name, line.place)?;
        }
        Ok(())
    }
}

impl fmt::Display for RecordReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(
                f,
                "{:>5}  {}  {}",
                line.number,
                readable(line.at_ms),
                Plain(&line.entry.to_string())
            )?;
        }
        match self.is_verified {
            true => write!(f, "The chain of {} lines is unbroken.", self.lines.len()),
            false => write!(
                f,
                "{} lines; `--verify` checks that nobody changed them.",
                self.lines.len()
            ),
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} has left {}; its key is gone at both ends. The record is kept.",
            self.name, self.server
        )
    }
}
