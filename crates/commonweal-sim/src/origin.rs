//! `origin.json`: where a run was started, which a resumed run must know and its job does not say.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::error::SimulationError;
use crate::folder::RunFolder;
use crate::json::{read_json, write_json};

/// Where a run was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// Folder that relative paths of the job start from.
    pub(crate) base: PathBuf,
    /// Version of the program.
    pub(crate) version: String,
}

impl Origin {
    pub(crate) fn of(environment: &Environment) -> Self {
        let base = match environment.base.as_os_str().is_empty() {
            true => Path::new("."),
            false => &environment.base,
        };
        // A folder that cannot be made absolute stays as it was given.
        let base = std::path::absolute(base).unwrap_or_else(|_| base.to_path_buf());
        Self {
            base,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    pub(crate) fn write(&self, folder: &RunFolder) -> Result<(), SimulationError> {
        write_json(&folder.origin(), self)
    }

    pub(crate) fn read(folder: &RunFolder) -> Result<Self, SimulationError> {
        read_json(&folder.origin())
    }
}
