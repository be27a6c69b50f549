//! The manifest: a job's canonical bytes, which a node approves and a run is bound to.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Formatter};

use serde_json::Value as Json;

use super::error::{JobError, JobErrors, Place, Problem};
use super::{Job, build, canonical, node};
use crate::Digest;

/// The canonical encoding of a job without `[simulation]`: JSON without spaces, keys in byte order,
/// absent keys left out, all defaults filled in.
///
/// Two jobs that differ in comments, in the order of keys, in defaults that are written out or in
/// `[simulation]` have the same manifest.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    bytes: Vec<u8>,
    digest: Digest,
}

impl Manifest {
    /// The manifest of `job`.
    pub fn of(job: &Job) -> Self {
        let mut json = canonical::value(job);
        if let Json::Object(sections) = &mut json {
            sections.remove("simulation");
        }
        let bytes = canonical::encode(&json).into_bytes();
        let digest = Digest::of(&bytes);
        Self { bytes, digest }
    }

    /// Reads a manifest, as a node does: the job has the default `[simulation]`.
    ///
    /// # Errors
    /// What is no job, and bytes that are not the canonical ones of the job that they describe.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Job), JobErrors> {
        let json: Json = serde_json::from_slice(bytes).map_err(|fault| {
            refuse(Problem::Syntax {
                message: fault.to_string(),
            })
        })?;
        let job = build(node::from_json(json), Vec::new())?;
        let manifest = Self::of(&job);
        if manifest.bytes == bytes {
            return Ok((manifest, job));
        }
        let rule = "these are not the canonical bytes of a manifest".to_string();
        Err(refuse(Problem::Rule { rule }))
    }

    /// The canonical bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Manifest({})", self.digest)
    }
}

fn refuse(problem: Problem) -> JobErrors {
    let key = String::new();
    JobErrors(alloc::vec![JobError {
        place: Place::Manifest,
        key,
        problem
    }])
}
