//! Records on disk as JSON, such as those of a run folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::file::{self, FileError};

/// Why a record was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The file does not say what it should.
    #[error("{}: {what}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Writes a record, whole file or nothing.
///
/// # Errors
/// [`JsonError`].
pub fn write_json(path: &Path, record: &impl Serialize) -> Result<(), JsonError> {
    let mut text = serde_json::to_vec_pretty(record).map_err(|error| wrong(path, &error))?;
    text.push(b'\n');
    Ok(file::write_bytes(path, &text)?)
}

/// Reads a record.
///
/// # Errors
/// [`JsonError`], which names the file.
pub fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, JsonError> {
    serde_json::from_slice(&file::read_bytes(path)?).map_err(|error| wrong(path, &error))
}

fn wrong(path: &Path, error: &serde_json::Error) -> JsonError {
    JsonError::Record {
        path: path.to_path_buf(),
        what: error.to_string(),
    }
}
