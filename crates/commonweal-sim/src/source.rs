//! Finds and reads the data set that a job names.

use std::path::PathBuf;

use commonweal_core::job::{Data, DataSource};
use commonweal_data::Source;
use commonweal_data::embedded::{self, DigitsError};
use commonweal_data::table::{self, CsvError, Schema, SchemaError};

use crate::environment::Environment;
use crate::file::FileError;

/// Why a data set cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No such name.
    #[error("there is no data set called {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The embedded digits are damaged.
    #[error(transparent)]
    Digits(#[from] DigitsError),
    /// The columns do not fit.
    #[error("{}: {source}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SchemaError,
    },
    /// A line does not fit.
    #[error("{}: {source}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: CsvError,
    },
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Reads the data of a job.
///
/// # Errors
/// [`SourceError`], which names the file and what to do.
pub fn read_source(data: &Data, environment: &Environment) -> Result<Source, SourceError> {
    match &data.source {
        DataSource::Name(name) if name == "digits" => Ok(embedded::digits()?.into()),
        DataSource::Name(name) if name == "heart" => {
            csv(data, "heart_disease_uci.csv".into(), embedded::HEART_CSV)
        }
        DataSource::Name(name) => Err(SourceError::Unknown { name: name.clone() }),
        DataSource::Path(path) => {
            let path = environment.base.join(path);
            let bytes = crate::file::read_bytes(&path)?;
            csv(data, path, &bytes)
        }
    }
}

fn csv(data: &Data, path: PathBuf, bytes: &[u8]) -> Result<Source, SourceError> {
    let schema = Schema::of(data, bytes).map_err(|source| SourceError::Schema {
        path: path.clone(),
        source,
    })?;
    let table = table::read(bytes, &schema).map_err(|source| SourceError::Csv { path, source })?;
    Ok(table.into())
}
