//! Retention: which blobs stay, and how the others go without taking one that is just being named.

use std::collections::BTreeSet;
use std::path::Path;

use commonweal_core::Digest;
use sqlx::{Row as _, Sqlite, Transaction};

use super::database::Database;
use super::row::{maybe_digest, number};
use super::{Commits, Store, StoreError};

/// All digests that rows name.
pub(super) const NAMED: &str = "
    SELECT snapshot AS digest FROM commits WHERE snapshot IS NOT NULL
    UNION SELECT model FROM commits WHERE model IS NOT NULL
    UNION SELECT digest FROM files
    UNION SELECT manifest FROM runs
    UNION SELECT prepared FROM runs WHERE prepared IS NOT NULL";

const IS_NAMED: &str = "
    SELECT EXISTS (SELECT 1 FROM commits WHERE snapshot = $1 OR model = $1)
    OR EXISTS (SELECT 1 FROM files WHERE digest = $1)
    OR EXISTS (SELECT 1 FROM runs WHERE manifest = $1 OR prepared = $1)";

impl Commits<'_> {
    /// Lets go of the snapshots and models of a run's commits, except those of rounds that `is_kept` and of the last
    /// commit with a snapshot. Returns how many blobs went: one that another row names stays.
    ///
    /// # Errors
    /// [`StoreError`]. Blobs that are then named by no row go when a server next starts.
    pub async fn release(
        &self,
        run: &str,
        is_kept: impl Fn(u64) -> bool + Send + Sync,
    ) -> Result<usize, StoreError> {
        let Database::Sqlite(sqlite) = &self.0.database;
        let forgotten = async {
            let mut write = sqlite.write().await?;
            let forgotten = forget(&mut write, run, is_kept).await?;
            write.commit().await?;
            Ok(forgotten)
        };
        let forgotten = self.0.database.told(forgotten.await)?;
        self.0.remove_unnamed(&forgotten).await
    }
}

impl Store {
    /// Removes blobs that no row names and what broken-off writes have left. For a server that starts and is the only
    /// one on its data directory. Returns how many went.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        remove_unfinished(&self.folder.join(super::BLOBS))?;
        let blobs = self.blobs.list().await?.into_iter().collect();
        self.remove_unnamed(&blobs).await
    }

    /// While the transaction holds the pen nothing can be named, and what was put and is not yet named stays.
    async fn remove_unnamed(&self, blobs: &BTreeSet<Digest>) -> Result<usize, StoreError> {
        if blobs.is_empty() {
            return Ok(0);
        }
        let Database::Sqlite(sqlite) = &self.database;
        let mut write = self.database.told(sqlite.write().await)?;
        let mut removed = 0;
        for digest in blobs {
            let is_named = sqlx::query_scalar(IS_NAMED)
                .bind(&digest.as_bytes()[..])
                .fetch_one(&mut *write)
                .await;
            if !self.database.told(is_named)? && self.blobs.remove_unclaimed(digest)? {
                removed += 1;
            }
        }
        self.database.told(write.rollback().await)?;
        Ok(removed)
    }
}

/// Takes the digests out of rows; gives those that were taken out.
async fn forget(
    write: &mut Transaction<'static, Sqlite>,
    run: &str,
    is_kept: impl Fn(u64) -> bool + Send + Sync,
) -> sqlx::Result<BTreeSet<Digest>> {
    let rows = sqlx::query(
        "SELECT number, round, snapshot, model FROM commits
         WHERE run = $1 AND (snapshot IS NOT NULL OR model IS NOT NULL)
         AND number < (SELECT MAX(number) FROM commits WHERE run = $1 AND snapshot IS NOT NULL)",
    )
    .bind(run)
    .fetch_all(&mut **write)
    .await?;
    let mut forgotten = BTreeSet::new();
    for row in &rows {
        if is_kept(number(row, "round")?) {
            continue;
        }
        forgotten.extend(maybe_digest(row, "snapshot")?);
        forgotten.extend(maybe_digest(row, "model")?);
        sqlx::query("UPDATE commits SET snapshot = NULL, model = NULL WHERE number = $1")
            .bind(row.try_get::<i64, _>("number")?)
            .execute(&mut **write)
            .await?;
    }
    Ok(forgotten)
}

/// Files that were being written when a server was killed: their names have a `#`, as the object store writes them.
fn remove_unfinished(folder: &Path) -> Result<(), StoreError> {
    let swept = (|| {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().contains('#') {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    })();
    swept.map_err(|source| StoreError::of_file(folder, source))
}
