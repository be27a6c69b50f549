//! Where a store is opened: a fresh place that can be opened more than once, as by several processes.

use std::path::Path;

use commonweal_server::store::Store;
use tempfile::TempDir;

/// A fresh place for one store.
pub(crate) trait Ground {
    /// A place where nothing is yet.
    fn new() -> Self;

    /// Opens the store, as another process would.
    async fn open(&self) -> Store;

    /// Its data directory.
    fn folder(&self) -> &Path;
}

/// A folder with an SQLite file.
pub(crate) struct Sqlite(TempDir);

impl Ground for Sqlite {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Store {
        Store::open(self.folder()).await.unwrap()
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }
}
