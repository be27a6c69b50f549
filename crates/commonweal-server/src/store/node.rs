//! Nodes: keys, the names under which they take part, and what they say of themselves.

use commonweal_core::ClientName;
use commonweal_wire::{KeyId, PublicKey, proto, read};
use prost::Message as _;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder, Row};

use super::StoreError;
use super::database::{AT_ONCE, Database};
use super::row::{Word, maybe_number, name, number, word, wrong};

/// A node that joined once.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its client name in every run.
    pub name: ClientName,
    /// Its key.
    pub key: PublicKey,
    /// Whether it may take part.
    pub state: NodeState,
    /// What it last said of itself.
    pub statement: proto::Statement,
    /// Milliseconds since 1970, UTC.
    pub joined_at_ms: u64,
    /// When it was last seen by a server that wrote it down: now and then, not at each request.
    pub seen_at_ms: Option<u64>,
}

/// Whether a node may take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// An administrator has not approved its key yet.
    Waiting,
    /// It may.
    Enrolled,
    /// An administrator took its key back.
    Revoked,
    /// It gave its key back.
    Left,
}

impl NodeState {
    /// As the control API writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.word()
    }
}

impl Word for NodeState {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Waiting, "waiting"),
        (Self::Enrolled, "enrolled"),
        (Self::Revoked, "revoked"),
        (Self::Left, "left"),
    ];
}

/// The nodes of a store.
pub struct Nodes<'a>(pub(super) &'a Database);

impl Nodes<'_> {
    /// All that ever joined, by name; of one name, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self) -> Result<Vec<Node>, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        sqlx::query_as("SELECT * FROM nodes ORDER BY name, joined_at_ms DESC")
            .fetch_all(&sqlite.readers)
            .await
            .map_err(|error| self.0.blame(error))
    }

    /// The node of a key, whatever its state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn by_key(&self, key: &KeyId) -> Result<Option<Node>, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        sqlx::query_as("SELECT * FROM nodes WHERE key = $1")
            .bind(key.to_string())
            .fetch_optional(&sqlite.readers)
            .await
            .map_err(|error| self.0.blame(error))
    }

    /// Lets a waiting node take part.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if no node of that name waits.
    pub async fn approve(&self, name: &ClientName) -> Result<(), StoreError> {
        let sql = "UPDATE nodes SET state = 'enrolled' WHERE name = $1 AND state = 'waiting'";
        self.change("waiting node", name, sql).await
    }

    /// Takes back the key of the node that has this name now.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if no node of that name waits or is enrolled.
    pub async fn revoke(&self, name: &ClientName) -> Result<(), StoreError> {
        let sql = "UPDATE nodes SET state = 'revoked' WHERE name = $1 AND state IN ('waiting', 'enrolled')";
        self.change("node", name, sql).await
    }

    /// Notes that a node gave its key back. One that was revoked stays so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn leave(&self, key: &KeyId) -> Result<(), StoreError> {
        let sql = "UPDATE nodes SET state = 'left' WHERE key = $1 AND state <> 'revoked'";
        self.update(sql, &key.to_string()).await.map(drop)
    }

    /// Notes what a node says of itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_statement(
        &self,
        key: &KeyId,
        statement: &proto::Statement,
    ) -> Result<(), StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let written = async {
            let mut write = sqlite.write().await?;
            sqlx::query("UPDATE nodes SET statement = $1 WHERE key = $2")
                .bind(statement.encode_to_vec())
                .bind(key.to_string())
                .execute(&mut *write)
                .await?;
            write.commit().await
        };
        self.0.told(written.await)
    }

    /// Notes when nodes were last seen: many at once, for it is one write to disk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn seen(&self, nodes: &[(KeyId, u64)]) -> Result<(), StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let written = async {
            let mut write = sqlite.write().await?;
            for nodes in nodes.chunks(AT_ONCE) {
                let mut query = QueryBuilder::new("WITH seen (key, at_ms) AS (");
                query.push_values(nodes, |mut row, (key, at_ms)| {
                    row.push_bind(key.to_string())
                        .push_bind(at_ms.cast_signed());
                });
                query.push(
                    ") UPDATE nodes SET seen_at_ms = seen.at_ms FROM seen WHERE nodes.key = seen.key",
                );
                query.build().persistent(false).execute(&mut *write).await?;
            }
            write.commit().await
        };
        self.0.told(written.await)
    }

    async fn change(
        &self,
        noun: &'static str,
        name: &ClientName,
        sql: &'static str,
    ) -> Result<(), StoreError> {
        match self.update(sql, &name.to_string()).await? {
            0 => Err(StoreError::Missing {
                noun,
                name: name.to_string(),
            }),
            _ => Ok(()),
        }
    }

    async fn update(&self, sql: &'static str, of: &str) -> Result<u64, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let written = async {
            let mut write = sqlite.write().await?;
            let done = sqlx::query(sql).bind(of).execute(&mut *write).await?;
            write.commit().await?;
            Ok(done.rows_affected())
        };
        self.0.told(written.await)
    }
}

impl FromRow<'_, SqliteRow> for Node {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let key: &[u8] = row.try_get("public_key")?;
        let statement: &[u8] = row.try_get("statement")?;
        Ok(Self {
            name: name(row, "name")?,
            key: PublicKey::try_from(key).map_err(|error| wrong("public_key", error))?,
            state: word(row, "state")?,
            statement: read(statement).map_err(|error| wrong("statement", error))?,
            joined_at_ms: number(row, "joined_at_ms")?,
            seen_at_ms: maybe_number(row, "seen_at_ms")?,
        })
    }
}
