//! Why a server does not start, or an administrator's command does nothing.

use std::io;
use std::path::PathBuf;

use commonweal_core::NameError;
use commonweal_disk::JsonError;
use commonweal_server::StartError;
use commonweal_server::admin::{AdminError, BackupError, SitesError};
use commonweal_server::authority::AuthorityError;
use commonweal_server::store::StoreError;
use thiserror::Error;

use crate::exit::Exit;

/// Why a server's command failed.
#[derive(Debug, Error)]
pub enum ServerFailure {
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An administrator's command did nothing.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// No backup, or nothing was put back.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The certificates.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A table of sites.
    #[error(transparent)]
    Sites(#[from] SitesError),
    /// A node's name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// What was noted of the last start.
    #[error(transparent)]
    Note(#[from] JsonError),
    /// An address that is none.
    #[error("--public-url is {found:?}; expected {expected}")]
    PublicUrl {
        /// What was given.
        found: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// No data directory.
    #[error("{} is no server's data directory", folder.display())]
    NoServer {
        /// The directory.
        folder: PathBuf,
    },
    /// No runtime.
    #[error("the network cannot be used: {0}")]
    Runtime(io::Error),
}

impl From<StoreError> for ServerFailure {
    fn from(error: StoreError) -> Self {
        Self::Admin(error.into())
    }
}

impl ServerFailure {
    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Admin(error) => match error {
                AdminError::Store(StoreError::Missing { .. } | StoreError::Taken { .. })
                | AdminError::Enrolled { .. }
                | AdminError::Twice { .. }
                | AdminError::KeyName { .. } => Exit::Usage,
                _ => Exit::Failed,
            },
            Self::Backup(BackupError::Exists { .. } | BackupError::NotEmpty { .. }) => Exit::Usage,
            Self::Backup(BackupError::Newer { .. }) => Exit::Refused,
            Self::Sites(_) | Self::Name(_) | Self::PublicUrl { .. } | Self::NoServer { .. } => {
                Exit::Usage
            }
            Self::Backup(_)
            | Self::Start(_)
            | Self::Authority(_)
            | Self::Note(_)
            | Self::Runtime(_) => Exit::Failed,
        }
    }

    /// What to do next, where the message does not say it already.
    pub(crate) fn next(&self) -> Option<String> {
        match self {
            Self::NoServer { .. } => {
                Some("`commonweal serve` makes one; --data-dir names another folder".to_owned())
            }
            _ => None,
        }
    }
}
