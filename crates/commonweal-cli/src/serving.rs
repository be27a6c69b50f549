//! `serving.json` in a server's data directory: where the server that was last started there is reached.
//!
//! A flag of `commonweal serve` is no flag of `commonweal server invite`: this is how one knows of the other.

use std::path::Path;

use commonweal_disk::file::FileError;
use commonweal_disk::{JsonError, read_json, write_json};
use serde::{Deserialize, Serialize};

/// The file in a data directory.
const FILE: &str = "serving.json";

/// Where a server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Serving {
    /// For nodes and researchers: `https://HOST:PORT`.
    pub(crate) url: String,
    /// Where it listens.
    pub(crate) address: String,
    /// Fingerprint of its authority; none for a certificate of the operator's.
    pub(crate) authority: Option<String>,
    /// The name in the operator's certificate.
    pub(crate) name: Option<String>,
}

impl Serving {
    /// Notes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, data_dir: &Path) -> Result<(), JsonError> {
        write_json(&data_dir.join(FILE), self)
    }

    /// What was noted last; none if no server was started there.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read(data_dir: &Path) -> Result<Option<Self>, JsonError> {
        match read_json(&data_dir.join(FILE)) {
            Ok(serving) => Ok(Some(serving)),
            Err(JsonError::File(FileError::Missing { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
