//! The databases that a store can be over. Today SQLite alone; SQL is written so that others understand it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

use super::StoreError;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Marks the file as ours: "CWL1" in ASCII (`PRAGMA application_id`).
const APPLICATION: i64 = 0x4357_4c31;
/// How long a write waits for another process's.
const BUSY: Duration = Duration::from_secs(10);
const READERS: u32 = 4;
/// Rows of a statement that writes many: a statement a row would hold the pen for seconds where nodes are thousands.
pub(super) const AT_ONCE: usize = 1_000;
/// Takes the pen at once: a transaction that read first could find that another has written meanwhile.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// A database. A repository's method matches on it once.
#[derive(Clone)]
pub(super) enum Database {
    /// One file.
    Sqlite(SqliteDatabase),
}

/// One connection that writes, so that writers queue here and not at the file's lock, and some that read.
#[derive(Clone)]
pub(super) struct SqliteDatabase {
    writer: SqlitePool,
    pub(super) readers: SqlitePool,
    path: Arc<PathBuf>,
    /// How many connections have written before the one that does now.
    writers: Arc<AtomicU64>,
}

impl Database {
    /// Opens or makes the file, and brings its tables to this version.
    pub(super) async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        SqliteDatabase::open(path).await.map(Self::Sqlite)
    }

    /// A pair that differs from an earlier one if another process has written in between. The second is the writing
    /// connection's own count of what others wrote (`PRAGMA data_version`), the first says which connection that is.
    pub(super) async fn stamp(&self) -> Result<(u64, i64), StoreError> {
        let Self::Sqlite(sqlite) = self;
        let version = sqlx::query_scalar("PRAGMA data_version").fetch_one(&sqlite.writer);
        let version = self.told(version.await)?;
        Ok((sqlite.writers.load(Ordering::Relaxed), version))
    }

    pub(super) async fn close(&self) {
        let Self::Sqlite(sqlite) = self;
        sqlite.readers.close().await;
        sqlite.writer.close().await;
    }

    /// What came out, or its error with the file that it is about.
    pub(super) fn told<T>(&self, outcome: sqlx::Result<T>) -> Result<T, StoreError> {
        outcome.map_err(|error| self.blame(error))
    }

    /// The error, with the file that it is about.
    pub(super) fn blame(&self, error: sqlx::Error) -> StoreError {
        let Self::Sqlite(sqlite) = self;
        StoreError::of_sqlite(&sqlite.path, error)
    }
}

impl SqliteDatabase {
    async fn open(path: &Path) -> Result<Self, StoreError> {
        let blame = |error| StoreError::of_sqlite(path, error);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writer = pool(1).connect_with(options.clone()).await.map_err(blame)?;
        migrate(&writer, path).await?;
        Ok(Self {
            writer,
            readers: pool(READERS).connect_lazy_with(options.create_if_missing(false)),
            path: Arc::new(path.to_path_buf()),
            writers: Arc::default(),
        })
    }

    /// Begins to write. Nothing is written unless the transaction is committed.
    pub(super) async fn write(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        match self.writer.begin_with(BEGIN).await {
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.reconnect().await?;
                self.writer.begin_with(BEGIN).await
            }
            begun => begun,
        }
    }

    /// On a full disk SQLite rolls back by itself, and sqlx goes on to count the transaction as open: another connection
    /// takes this one's place.
    async fn reconnect(&self) -> sqlx::Result<()> {
        self.writers.fetch_add(1, Ordering::Relaxed);
        self.writer.acquire().await?.close().await
    }
}

async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let blame = |error| StoreError::of_sqlite(path, error);
    let application: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(writer)
        .await
        .map_err(blame)?;
    if application != APPLICATION {
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
            .fetch_one(writer)
            .await
            .map_err(blame)?;
        if application != 0 || tables != 0 {
            let path = path.to_path_buf();
            return Err(StoreError::Foreign { path });
        }
        sqlx::query("PRAGMA application_id = 1129794609")
            .execute(writer)
            .await
            .map_err(blame)?;
    }
    MIGRATIONS.run(writer).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => StoreError::Newer {
            path: path.to_path_buf(),
            expected: MIGRATIONS.iter().map(|it| it.version).max().unwrap_or(0),
            found,
        },
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => blame(error),
        other => StoreError::Damaged {
            path: path.to_path_buf(),
            what: other.to_string(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ApiKey, Role, Store};

    async fn write(store: &Store, number: u32) -> Result<(), StoreError> {
        let key = ApiKey {
            name: format!("{number:04000}"),
            role: Role::Viewer,
            digest: commonweal_core::Digest::of(&number.to_le_bytes()),
            created_at_ms: 0,
            revoked_at_ms: None,
        };
        store.keys().add(&key).await
    }

    async fn pragma(store: &Store, sql: &'static str) {
        let Database::Sqlite(sqlite) = &store.database;
        sqlx::query(sql).execute(&sqlite.writer).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_is_told_by_its_file_and_what_was_stored_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        write(&store, 0).await.unwrap();
        // As full as a disk can be made without one: SQLite answers SQLITE_FULL to both.
        pragma(&store, "PRAGMA max_page_count = 40").await;
        let mut number = 0;
        let error = loop {
            number += 1;
            if let Err(error) = write(&store, number).await {
                break error;
            }
        };
        assert!(
            matches!(&error, StoreError::DiskFull { path } if path.ends_with("commonweal.sqlite"))
        );
        assert_eq!(store.keys().list().await.unwrap().len(), number as usize);
        pragma(&store, "PRAGMA max_page_count = 1000").await;
        write(&store, number).await.unwrap();
    }

    #[tokio::test]
    async fn a_database_that_may_not_be_written_is_told_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        // SQLite answers SQLITE_READONLY, as for a file on a read-only file system.
        pragma(&store, "PRAGMA query_only = TRUE").await;
        let error = write(&store, 0).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("commonweal.sqlite cannot be written"),
            "{error}"
        );
        assert!(error.to_string().contains("--data-dir"), "{error}");
    }

    #[tokio::test]
    async fn rows_are_on_disk_before_a_write_returns() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let Database::Sqlite(sqlite) = &store.database;
        for pool in [&sqlite.writer, &sqlite.readers] {
            let full: i64 = sqlx::query_scalar("PRAGMA synchronous")
                .fetch_one(pool)
                .await
                .unwrap();
            let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
                .fetch_one(pool)
                .await
                .unwrap();
            assert_eq!((full, mode.as_str()), (2, "wal"));
        }
    }
}
