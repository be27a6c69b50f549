//! The control API's JSON: what researchers and administrators say to a server.
//!
//! `Authorization: Bearer KEY`, with a key of `commonweal server keys`. A refusal is an [`ApiError`].

use serde::{Deserialize, Serialize};

/// Runs: `POST` submits one ([`Submission`] → [`RunInfo`]), `GET` lists them ([`RunInfo`], newest first).
pub const RUNS: &str = "/api/v1/runs";
/// Nodes: `GET` lists them ([`NodeInfo`]).
pub const NODES: &str = "/api/v1/nodes";
/// Who the key's holder is: `GET` → [`Identity`].
pub const IDENTITY: &str = "/api/v1/identity";

/// One run: `GET` → [`RunInfo`].
#[must_use]
pub fn run(id: &str) -> String {
    format!("{RUNS}/{id}")
}

/// What happened in a run after event `after`: a long poll → [`Events`].
#[must_use]
pub fn events(id: &str, after: u64) -> String {
    format!("{RUNS}/{id}/events?after={after}")
}

/// Lines of a run's log after line `after` → [`LogLines`].
#[must_use]
pub fn logs(id: &str, after: u64) -> String {
    format!("{RUNS}/{id}/logs?after={after}")
}

/// Why a run is waiting → [`Explanation`].
#[must_use]
pub fn explain(id: &str) -> String {
    format!("{RUNS}/{id}/explain")
}

/// `POST` ends a run → [`RunInfo`].
#[must_use]
pub fn cancel(id: &str) -> String {
    format!("{RUNS}/{id}/cancel")
}

/// `POST` goes on with a run that was cancelled or failed → [`RunInfo`].
#[must_use]
pub fn resume(id: &str) -> String {
    format!("{RUNS}/{id}/resume")
}

/// A file of a run: `job.toml`, `manifest.json`, `history.csv`, `model.safetensors`, …
#[must_use]
pub fn file(id: &str, name: &str) -> String {
    format!("{RUNS}/{id}/files/{name}")
}

/// A job to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The job file's text, overrides applied.
    pub job: String,
    /// The model to begin with, safetensors in base64, where the job names one.
    pub initial: Option<String>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Nodes are being asked.
    Waiting,
    /// The data are being summed up.
    Preparing,
    /// Rounds go on.
    Running,
    /// The last round is committed.
    Finished,
    /// It came to an end that nobody wanted.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl RunState {
    /// Whether nothing more will happen by itself.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Cancelled)
    }
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// `heart-3`.
    pub id: String,
    /// The job's name.
    pub job: String,
    /// Digest of the manifest.
    pub manifest: String,
    /// Who submitted it.
    pub submitter: String,
    /// Where it stands.
    pub state: RunState,
    /// Why it ended, where that is not plain.
    pub reason: Option<String>,
    /// Rounds that are over.
    pub round: u64,
    /// Rounds at most.
    pub rounds: u64,
    /// Nodes that take part, once that is fixed.
    pub nodes: Option<u64>,
    /// The metric by which the job is judged, and its last value.
    pub metric: Option<(String, f64)>,
    /// Digest of the model as it stands.
    pub model: Option<String>,
    /// Milliseconds since 1970, UTC.
    pub submitted_at_ms: u64,
    /// Milliseconds since 1970, UTC.
    pub ended_at_ms: Option<u64>,
}

/// A node in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its enrolled name.
    pub name: String,
    /// Its key's fingerprint.
    pub fingerprint: String,
    /// `waiting`, `enrolled`, `revoked` or `left`.
    pub state: String,
    /// Whether it polls.
    pub is_online: bool,
    /// Milliseconds since 1970, UTC; none if it was never seen.
    pub last_seen_ms: Option<u64>,
    /// What it says of itself.
    pub version: String,
    /// Names of its data sets.
    pub data_sets: Vec<String>,
    /// Its labels, as `site=eu`.
    pub labels: Vec<String>,
    /// What it works on, as `heart-3 train-7`.
    pub working_on: Option<String>,
}

/// Events of a run, as they are numbered; each is an event of a simulation's progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// In order; empty if nothing happened for a while.
    pub events: Vec<NumberedEvent>,
    /// Where the run stands.
    pub state: RunState,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberedEvent {
    /// From 1.
    pub number: u64,
    /// Milliseconds since 1970, UTC.
    pub at_ms: u64,
    /// As in the JSON of a simulation's progress.
    pub event: serde_json::Value,
}

/// Lines of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLines {
    /// In order.
    pub lines: Vec<LogLine>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// From 1.
    pub number: u64,
    /// Milliseconds since 1970, UTC.
    pub at_ms: u64,
    /// `info`, `warn` or `error`.
    pub level: String,
    /// The sentence.
    pub text: String,
}

/// Why a run is waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// In a line: `31 of 38; hospital-c offline for 3 h; hospital-k refused: schema (column age)`.
    pub summary: String,
    /// What is waited for: `verdicts`, `check_in`, `reports`, or nothing.
    pub waits_for: Option<String>,
    /// Nodes that have done it.
    pub done: u64,
    /// Nodes that are asked.
    pub of: u64,
    /// The fewest that will do.
    pub minimum: u64,
    /// Each node that has not done it, or never will.
    pub nodes: Vec<NodeStatus>,
}

/// One node's part in the waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub node: String,
    /// `offline`, `silent`, `working`, `slow`, `uploading`, `undecided`, `denied`, `unfit`, `resting`, `busy`, `ready`, `done`.
    pub status: String,
    /// In words: `offline for 3 h`, `refused: schema (column age)`.
    pub text: String,
}

/// A key's holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The key's name.
    pub name: String,
    /// `admin`, `researcher` or `viewer`.
    pub role: String,
    /// The server's version.
    pub version: String,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// A word for programs: `unauthorized`, `forbidden`, `unknown_run`, `job`, `minimum`, …
    pub code: String,
    /// The sentence, which says what to do next.
    pub message: String,
}
