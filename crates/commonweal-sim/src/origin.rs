//! `origin.json`: where a run was started, which a resumed run must know and its job does not say.

use std::path::{Path, PathBuf};

use commonweal_core::job::Job;
use commonweal_disk::folder::RunFolder;
use commonweal_disk::{read_json, write_json};
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::error::SimulationError;
use crate::federation::simulation_digest;

/// Where a run was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// Folder that relative paths of the job start from.
    pub(crate) base: PathBuf,
    /// Digest of the part of `[simulation]` that a result depends on and no manifest holds.
    pub(crate) simulation: String,
    /// Version of the program.
    pub(crate) version: String,
}

impl Origin {
    pub(crate) fn of(environment: &Environment, job: &Job) -> Self {
        let base = match environment.places.base.as_os_str().is_empty() {
            true => Path::new("."),
            false => &environment.places.base,
        };
        // A folder that cannot be made absolute stays as it was given.
        let base = std::path::absolute(base).unwrap_or_else(|_| base.to_path_buf());
        Self {
            base,
            simulation: simulation_digest(job),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    pub(crate) fn write(&self, folder: &RunFolder) -> Result<(), SimulationError> {
        Ok(write_json(&folder.origin(), self)?)
    }

    pub(crate) fn read(folder: &RunFolder) -> Result<Self, SimulationError> {
        Ok(read_json(&folder.origin())?)
    }
}
