//! Keys of people and programs that submit, watch or administer: kept as digests.

use commonweal_core::Digest;
use sqlx::FromRow;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::StoreError;
use super::database::Database;
use super::row::{Word, digest, maybe_number, number, word};

/// A key to the control API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its holder.
    pub name: String,
    /// What the holder may do.
    pub role: Role,
    /// SHA-256 of the secret: guessing it from the digest is guessing 256 random bits.
    pub digest: Digest,
    /// Milliseconds since 1970, UTC.
    pub created_at_ms: u64,
    /// From then on it opens nothing.
    pub revoked_at_ms: Option<u64>,
}

/// What a key's holder may do. Each role may what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Watch runs.
    Viewer,
    /// Submit and end runs.
    Researcher,
    /// All of it.
    Admin,
}

/// Why a text is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no role: choose admin, researcher or viewer")]
pub struct RoleError {
    /// The text.
    pub found: String,
}

impl Role {
    /// As the control API writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.word()
    }
}

impl std::str::FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::of_word(text).ok_or_else(|| RoleError {
            found: text.to_owned(),
        })
    }
}

impl Word for Role {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Viewer, "viewer"),
        (Self::Researcher, "researcher"),
        (Self::Admin, "admin"),
    ];
}

/// The keys of a store.
pub struct Keys<'a>(pub(super) &'a Database);

impl Keys<'_> {
    /// Adds a key.
    ///
    /// # Errors
    /// [`StoreError::Taken`] if a key of that name is in use.
    pub async fn add(&self, key: &ApiKey) -> Result<(), StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let written = async {
            let mut write = sqlite.write().await?;
            sqlx::query(
                "INSERT INTO keys (digest, name, role, created_at_ms, revoked_at_ms) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(&key.digest.as_bytes()[..])
            .bind(&key.name)
            .bind(key.role.word())
            .bind(key.created_at_ms.cast_signed())
            .bind(key.revoked_at_ms.map(u64::cast_signed))
            .execute(&mut *write)
            .await?;
            write.commit().await
        };
        written.await.map_err(|error| match error {
            sqlx::Error::Database(error) if error.is_unique_violation() => StoreError::Taken {
                noun: "key",
                name: key.name.clone(),
            },
            error => self.0.blame(error),
        })
    }

    /// All that ever were, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        sqlx::query_as("SELECT * FROM keys ORDER BY name, created_at_ms DESC")
            .fetch_all(&sqlite.readers)
            .await
            .map_err(|error| self.0.blame(error))
    }

    /// The key of a secret's digest, unless it was revoked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn by_digest(&self, digest: &Digest) -> Result<Option<ApiKey>, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        sqlx::query_as("SELECT * FROM keys WHERE digest = $1 AND revoked_at_ms IS NULL")
            .bind(&digest.as_bytes()[..])
            .fetch_optional(&sqlite.readers)
            .await
            .map_err(|error| self.0.blame(error))
    }

    /// Takes back the key that is in use under this name.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none.
    pub async fn revoke(&self, name: &str, at_ms: u64) -> Result<(), StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let written = async {
            let mut write = sqlite.write().await?;
            let done = sqlx::query(
                "UPDATE keys SET revoked_at_ms = $1 WHERE name = $2 AND revoked_at_ms IS NULL",
            )
            .bind(at_ms.cast_signed())
            .bind(name)
            .execute(&mut *write)
            .await?;
            write.commit().await?;
            Ok(done.rows_affected())
        };
        match self.0.told(written.await)? {
            0 => Err(StoreError::Missing {
                noun: "key",
                name: name.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

impl FromRow<'_, SqliteRow> for ApiKey {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            role: word(row, "role")?,
            digest: digest(row, "digest")?,
            created_at_ms: number(row, "created_at_ms")?,
            revoked_at_ms: maybe_number(row, "revoked_at_ms")?,
        })
    }
}
