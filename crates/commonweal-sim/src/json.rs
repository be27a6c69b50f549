//! Records of the run folder as JSON.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::SimulationError;
use crate::file;

/// Writes a record of the run folder.
pub(crate) fn write_json(path: &Path, record: &impl Serialize) -> Result<(), SimulationError> {
    let mut text = serde_json::to_vec_pretty(record).map_err(|error| wrong(path, &error))?;
    text.push(b'\n');
    Ok(file::write_bytes(path, &text)?)
}

/// Reads a record of the run folder.
pub(crate) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, SimulationError> {
    serde_json::from_slice(&file::read_bytes(path)?).map_err(|error| wrong(path, &error))
}

fn wrong(path: &Path, error: &serde_json::Error) -> SimulationError {
    SimulationError::Record {
        path: path.to_path_buf(),
        what: error.to_string(),
    }
}
