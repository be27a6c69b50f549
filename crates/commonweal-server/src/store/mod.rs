//! What a server must not forget: a database for what is counted, blobs for what is large, under one folder.
//!
//! Repositories go by noun. What a method returned is on disk: `synchronous=FULL` for rows, `fsync` for blobs.
//! Time is an argument. Several processes may open one folder; [`Store::stamp`] tells when another one wrote.

mod blob;
mod commit;
mod copy;
mod database;
mod error;
mod event;
mod file;
mod invitation;
mod key;
mod line;
mod lock;
mod node;
mod retain;
mod row;
mod run;
mod verdict;

use std::io;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use database::Database;

pub use blob::{BlobReader, Blobs};
pub use commit::{Along, Commit, Commits};
pub use error::StoreError;
pub use event::Events;
pub use file::Files;
pub use invitation::{Enrolment, Invitation, Invitations, JoinError};
pub use key::{ApiKey, Keys, Role};
pub use line::{Level, Lines};
pub use lock::ServerLock;
pub use node::{Node, NodeState, Nodes};
pub use run::{NewRun, Note, Run, Runs};
pub use verdict::{Verdict, VerdictKind, Verdicts};

/// The database's file in a data directory.
pub const DATABASE: &str = "commonweal.sqlite";
/// The blobs' folder in a data directory.
pub const BLOBS: &str = "blobs";

/// A data directory's database and blobs. Cloning is cheap and shares them.
#[derive(Clone)]
pub struct Store {
    database: Database,
    blobs: Blobs,
    folder: PathBuf,
}

/// Differs from an earlier one if another process has written in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp((u64, i64));

impl Store {
    /// Opens the store in `folder`; makes both, for this user alone, where there is none.
    ///
    /// # Errors
    /// The folder cannot be written, or its database is foreign, damaged, or of a newer version.
    pub async fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.to_path_buf();
        let opening = spawn_blocking(move || lock::wait(&path)).await;
        let _opening = opening.map_err(|_| StoreError::Stopped)??;
        let database = Database::open_sqlite(&folder.join(DATABASE)).await?;
        let blobs = Blobs::open(folder.join(BLOBS))?;
        Ok(Self {
            database,
            blobs,
            folder: folder.to_path_buf(),
        })
    }

    /// The data directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the database stands. Writes through this store leave it as it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stamp(&self) -> Result<Stamp, StoreError> {
        self.database.stamp().await.map(Stamp)
    }

    /// Closes the database once all that is under way is done.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Those who train.
    #[must_use]
    pub fn nodes(&self) -> Nodes<'_> {
        Nodes(&self.database)
    }

    /// What lets nodes in.
    #[must_use]
    pub fn invitations(&self) -> Invitations<'_> {
        Invitations(&self.database)
    }

    /// What lets people in.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys(&self.database)
    }

    /// Jobs that were submitted.
    #[must_use]
    pub fn runs(&self) -> Runs<'_> {
        Runs(&self.database)
    }

    /// What nodes say to runs.
    #[must_use]
    pub fn verdicts(&self) -> Verdicts<'_> {
        Verdicts(&self.database)
    }

    /// What runs go on from.
    #[must_use]
    pub fn commits(&self) -> Commits<'_> {
        Commits(self)
    }

    /// What happened in runs, for those who watch.
    #[must_use]
    pub fn events(&self) -> Events<'_> {
        Events(&self.database)
    }

    /// Logs of runs.
    #[must_use]
    pub fn lines(&self) -> Lines<'_> {
        Lines(&self.database)
    }

    /// Files of runs.
    #[must_use]
    pub fn files(&self) -> Files<'_> {
        Files(&self.database)
    }

    /// What is large, by digest.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }
}

/// Makes a folder that only its owner can look into. One that is there stays as it is.
pub(crate) fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
