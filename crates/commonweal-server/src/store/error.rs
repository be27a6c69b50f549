//! Why the store failed, with the file and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use commonweal_core::Digest;

/// Why nothing was read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room.
    #[error(
        "the disk is full: {} was not written; what was stored before is untouched. Free some space; the server \
         goes on by itself", path.display()
    )]
    DiskFull {
        /// The file or folder.
        path: PathBuf,
    },
    /// This user may not write there, or the file system is mounted to be read only.
    #[error(
        "{} cannot be written: choose another folder with `--data-dir FOLDER`, or make it writable for the \
         user that runs the server", path.display()
    )]
    ReadOnly {
        /// The file or folder.
        path: PathBuf,
    },
    /// The file cannot be opened.
    #[error(
        "{} cannot be opened: check that its folder exists and that it is a file that the user who runs the \
         server may read and write", path.display()
    )]
    Unopened {
        /// The file.
        path: PathBuf,
    },
    /// Not a database, or one whose pages are broken.
    #[error(
        "{} is damaged ({what}): restore the last backup into an empty folder with `commonweal server restore`, \
         and keep the damaged one to look into", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// A database of another program.
    #[error(
        "{} is a database of another program: choose another folder with `--data-dir FOLDER`", path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later version.
    #[error(
        "{} was written by a newer version of commonweal (its migration {found}, this version knows {expected}): \
         start that version, or restore a backup of this one", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The last migration that this version knows.
        expected: i64,
        /// The database's.
        found: i64,
    },
    /// Another process keeps the database to itself.
    #[error("{} is locked by another process: wait until it is done, then try again", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Another server serves this data directory.
    #[error(
        "a server is running on {} already: stop that one first, or choose another folder with `--data-dir FOLDER`",
        path.display()
    )]
    Served {
        /// The data directory.
        path: PathBuf,
    },
    /// Something that must be there is not.
    #[error("there is no {noun} {name:?}")]
    Missing {
        /// What kind of thing.
        noun: &'static str,
        /// What it was asked for by.
        name: String,
    },
    /// The name is another's.
    #[error("there is a {noun} {name:?} already: choose another name, or revoke that one first")]
    Taken {
        /// What kind of thing.
        noun: &'static str,
        /// The name.
        name: String,
    },
    /// The sum was closed before: its clients are counted.
    #[error("{task} of {run} is committed already")]
    Committed {
        /// The run.
        run: String,
        /// The task.
        task: String,
    },
    /// No blob of this digest.
    #[error("there is no blob {digest}")]
    NoBlob {
        /// What was asked for.
        digest: Digest,
    },
    /// The runtime is being shut down.
    #[error("the server is stopping")]
    Stopped,
    /// Anything else that the operating system says.
    #[error("{}: {source}", path.display())]
    System {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// Anything else that the database says.
    #[error("{}: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: sqlx::Error,
    },
}

impl StoreError {
    /// An operating system's error about `path`.
    pub(crate) fn of_file(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { path }
            }
            _ => Self::System { path, source },
        }
    }

    /// SQLite's error about the database at `path`.
    pub(super) fn of_sqlite(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_path_buf();
        let code = source
            .as_database_error()
            .and_then(|error| error.code()?.parse::<u32>().ok());
        // The low byte is the kind: https://sqlite.org/rescode.html
        match (code.map(|code| code & 0xff), source) {
            (Some(5 | 6), _) => Self::Locked { path },
            (Some(8), _) => Self::ReadOnly { path },
            (Some(13), _) => Self::DiskFull { path },
            (Some(14), _) => Self::Unopened { path },
            (Some(11 | 26), source) => Self::Damaged {
                path,
                what: said(&source),
            },
            (_, sqlx::Error::ColumnDecode { index, source }) => Self::Damaged {
                path,
                what: format!("column {index}: {source}"),
            },
            (_, sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed) => Self::Stopped,
            (_, source) => Self::Database { path, source },
        }
    }
}

fn said(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
