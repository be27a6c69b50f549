//! The databases that a store can be over. Today SQLite alone; SQL is written so that others understand it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
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
}

impl Database {
    /// Opens or makes the file, and brings its tables to this version.
    pub(super) async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        SqliteDatabase::open(path).await.map(Self::Sqlite)
    }

    pub(super) async fn data_version(&self) -> Result<i64, StoreError> {
        let Self::Sqlite(sqlite) = self;
        sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&sqlite.writer)
            .await
            .map_err(|error| self.blame(error))
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
        })
    }

    /// Begins to write. Nothing is written unless the transaction is committed.
    pub(super) async fn write(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
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
