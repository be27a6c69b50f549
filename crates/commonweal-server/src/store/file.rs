//! Files of runs: names for blobs, as `model.safetensors`.

use commonweal_core::Digest;
use sqlx::Row as _;
use sqlx::{Sqlite, Transaction};

use super::StoreError;
use super::database::Database;
use super::row::digest;

/// The files of a store's runs.
pub struct Files<'a>(pub(super) &'a Database);

impl Files<'_> {
    /// Gives a run's blob a name. A later one takes the place of an earlier one of that name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set(&self, run: &str, name: &str, digest: &Digest) -> Result<(), StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let written = async {
            let mut write = sqlite.write().await?;
            set(&mut write, run, name, digest).await?;
            write.commit().await
        };
        self.0.told(written.await)
    }

    /// The blob of a run's file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find(&self, run: &str, name: &str) -> Result<Option<Digest>, StoreError> {
        let files = self.list(run).await?;
        let found = files.into_iter().find(|(other, _)| other == name);
        Ok(found.map(|(_, digest)| digest))
    }

    /// A run's files, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, run: &str) -> Result<Vec<(String, Digest)>, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let read = async {
            let rows = sqlx::query("SELECT name, digest FROM files WHERE run = $1 ORDER BY name")
                .bind(run)
                .fetch_all(&sqlite.readers)
                .await?;
            rows.iter()
                .map(|row| Ok((row.try_get("name")?, digest(row, "digest")?)))
                .collect()
        };
        self.0.told(read.await)
    }
}

pub(super) async fn set(
    write: &mut Transaction<'static, Sqlite>,
    run: &str,
    name: &str,
    digest: &Digest,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO files (run, name, digest) VALUES ($1, $2, $3)
         ON CONFLICT (run, name) DO UPDATE SET digest = $3",
    )
    .bind(run)
    .bind(name)
    .bind(&digest.as_bytes()[..])
    .execute(&mut **write)
    .await
    .map(drop)
}
