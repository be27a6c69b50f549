//! Files of a run for download: the names that they have in a simulation's run folder.

use std::collections::BTreeMap;

use commonweal_core::Digest;

/// What the model takes in.
pub(super) const INPUT: &str = "input.json";
/// What `prepare` found.
pub(super) const PREPARED: &str = "prepared.json";
/// The job as its nodes approved it.
pub(super) const MANIFEST: &str = "manifest.json";
/// The final model.
pub(super) const MODEL: &str = "model.safetensors";
/// The result.
pub(super) const SUMMARY: &str = "summary.json";
/// The model that was submitted with the job.
pub(super) const INITIAL: &str = "initial.safetensors";
/// The job.
pub(super) const JOB: &str = "job.toml";
/// The rounds.
pub(super) const HISTORY: &str = "history.csv";

/// A file of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// `application/json` and the like.
    pub media: &'static str,
    /// What is in it.
    pub content: Content,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The blob of this digest.
    Blob(Digest),
}

/// The media type of a file of a run; none if a run has no such file.
pub(super) fn media(name: &str) -> Option<&'static str> {
    let types = BTreeMap::from([
        (JOB, "application/toml"),
        (HISTORY, "text/csv"),
        (MANIFEST, "application/json"),
        (PREPARED, "application/json"),
        (INPUT, "application/json"),
        (SUMMARY, "application/json"),
        (MODEL, "application/octet-stream"),
        (INITIAL, "application/octet-stream"),
    ]);
    types.get(name).copied()
}
