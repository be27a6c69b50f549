//! A copy of a store as of one moment, made while it is being written.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use commonweal_core::Digest;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::task::spawn_blocking;

use super::blob::file_name;
use super::database::Database;
use super::retain::NAMED;
use super::{BLOBS, DATABASE, Store, StoreError, row};

impl Store {
    /// Copies the database as of one moment, with each blob that it names, into a folder that is there and empty.
    /// Blobs are linked where the file system can: they never change. Writers wait while the database is copied.
    ///
    /// # Errors
    /// [`StoreError`]; what was copied by then is left in the folder.
    pub async fn copy_into(&self, folder: &Path) -> Result<(), StoreError> {
        let (blobs, database) = (folder.join(BLOBS), folder.join(DATABASE));
        std::fs::create_dir(&blobs).map_err(|source| StoreError::of_file(&blobs, source))?;
        // Most of the work, before anybody has to wait.
        self.link(self.blobs.list().await?, &blobs).await?;
        let Database::Sqlite(sqlite) = &self.database;
        // Blobs go only under this transaction: see `remove_unnamed`.
        let pen = self.database.told(sqlite.write().await)?;
        let named = self.copy_database(&database).await?;
        let missing = self.link(named.iter().copied().collect(), &blobs).await?;
        self.database.told(pen.rollback().await)?;
        match missing.first() {
            Some(digest) => Err(StoreError::NoBlob { digest: *digest }),
            None => keep_only(&blobs, &named),
        }
    }

    /// Looks at every page of the database and every byte of every blob that it names.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::NoBlob`].
    pub async fn verify(&self) -> Result<(), StoreError> {
        let Database::Sqlite(sqlite) = &self.database;
        let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
            .fetch_one(&sqlite.readers)
            .await
            .map_err(|error| self.database.blame(error))?;
        if found != "ok" {
            return Err(StoreError::Damaged {
                path: self.folder.join(DATABASE),
                what: found,
            });
        }
        let rows = sqlx::query(NAMED).fetch_all(&sqlite.readers).await;
        for digest in self.database.told(rows.and_then(|rows| digests(&rows)))? {
            self.blobs.fetch(&digest).await?;
        }
        Ok(())
    }

    /// Writes the database to `path`; gives the digests that the copy names.
    async fn copy_database(&self, path: &Path) -> Result<BTreeSet<Digest>, StoreError> {
        let Database::Sqlite(sqlite) = &self.database;
        let copied = sqlx::query("VACUUM INTO $1")
            .bind(path.to_string_lossy())
            .execute(&sqlite.readers)
            .await;
        copied.map_err(|error| StoreError::of_sqlite(path, error))?;
        let read = async {
            let options = SqliteConnectOptions::new().filename(path).read_only(true);
            let mut copy = options.connect().await?;
            let rows = sqlx::query(NAMED).fetch_all(&mut copy).await?;
            copy.close().await?;
            digests(&rows)
        };
        read.await
            .map_err(|error| StoreError::of_sqlite(path, error))
    }

    /// Puts blobs into `folder` that are not there; gives those that are gone here.
    async fn link(&self, blobs: Vec<Digest>, folder: &Path) -> Result<Vec<Digest>, StoreError> {
        let (from, to) = (self.folder.join(BLOBS), folder.to_path_buf());
        let linked = spawn_blocking(move || {
            let mut missing = Vec::new();
            for digest in blobs {
                let name = file_name(&digest);
                match link_or_copy(&from.join(&name), &to.join(&name)) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(digest),
                    Err(error) => return Err(StoreError::of_file(&to.join(&name), error)),
                }
            }
            Ok(missing)
        });
        linked.await.map_err(|_| StoreError::Stopped)?
    }
}

fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() || std::fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    std::fs::copy(from, to).map(drop)
}

fn keep_only(folder: &Path, named: &BTreeSet<Digest>) -> Result<(), StoreError> {
    let names: BTreeSet<String> = named.iter().map(file_name).collect();
    let kept = (|| {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if !names.contains(&*entry.file_name().to_string_lossy()) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    })();
    kept.map_err(|source| StoreError::of_file(folder, source))
}

fn digests(rows: &[SqliteRow]) -> sqlx::Result<BTreeSet<Digest>> {
    rows.iter().map(|row| row::digest(row, "digest")).collect()
}
