//! Verdicts: what nodes said when a run asked for them.

use std::sync::Arc;

use commonweal_core::ClientName;
use commonweal_wire::KeyId;
use commonweal_wire::proto::UnfitCode;
use sqlx::FromRow;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::StoreError;
use super::database::Database;
use super::row::{name, number, parsed};

/// What a node said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The node.
    pub node: ClientName,
    /// The key that it said so with. Whoever has its name later has said nothing.
    pub key: KeyId,
    /// Its answer.
    pub kind: VerdictKind,
    /// Milliseconds since 1970, UTC.
    pub at_ms: u64,
}

/// Yes, no, or not able to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerdictKind {
    /// The owner agreed, and the data fit.
    Approved {
        /// Canonical JSON of the data's schema.
        schema: Arc<str>,
    },
    /// The owner did not agree.
    Denied {
        /// In the owner's words; may be empty.
        reason: String,
    },
    /// The owner agreed, and something does not fit.
    Unfit {
        /// What.
        code: UnfitCode,
        /// The column, where there is one; else empty.
        column: String,
        /// The line, where there is one; else 0.
        line: u64,
    },
}

/// The verdicts of a store.
pub struct Verdicts<'a>(pub(super) &'a Database);

impl Verdicts<'_> {
    /// Notes verdicts, all of them or none. A node's later one takes the earlier one's place.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set(&self, run: &str, verdicts: &[Verdict]) -> Result<(), StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let written = async {
            let mut write = sqlite.write().await?;
            for verdict in verdicts {
                set(&mut write, run, verdict).await?;
            }
            write.commit().await
        };
        self.0.told(written.await)
    }

    /// A run's, by node.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, run: &str) -> Result<Vec<Verdict>, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        sqlx::query_as("SELECT * FROM verdicts WHERE run = $1 ORDER BY node")
            .bind(run)
            .fetch_all(&sqlite.readers)
            .await
            .map_err(|error| self.0.blame(error))
    }
}

async fn set(write: &mut SqliteConnection, run: &str, verdict: &Verdict) -> sqlx::Result<()> {
    let (kind, schema, reason, unfit) = match &verdict.kind {
        VerdictKind::Approved { schema } => ("approved", Some(&**schema), None, None),
        VerdictKind::Denied { reason } => ("denied", None, Some(reason), None),
        VerdictKind::Unfit { code, column, line } => {
            ("unfit", None, None, Some((*code as i32, column, line)))
        }
    };
    sqlx::query(
        "INSERT INTO verdicts (run, node, key, kind, schema, reason, code, place, line, at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (run, node) DO UPDATE SET key = $3, kind = $4, schema = $5, reason = $6, code = $7,
         place = $8, line = $9, at_ms = $10",
    )
    .bind(run)
    .bind(verdict.node.to_string())
    .bind(verdict.key.to_string())
    .bind(kind)
    .bind(schema)
    .bind(reason)
    .bind(unfit.map(|(code, _, _)| code))
    .bind(unfit.map(|(_, column, _)| column))
    .bind(unfit.map(|(_, _, line)| line.cast_signed()))
    .bind(verdict.at_ms.cast_signed())
    .execute(write)
    .await
    .map(drop)
}

impl FromRow<'_, SqliteRow> for Verdict {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let kind = match row.try_get("kind")? {
            "approved" => VerdictKind::Approved {
                schema: row.try_get::<&str, _>("schema")?.into(),
            },
            "denied" => VerdictKind::Denied {
                reason: row.try_get("reason")?,
            },
            _ => VerdictKind::Unfit {
                code: UnfitCode::try_from(row.try_get::<i32, _>("code")?).unwrap_or_default(),
                column: row.try_get("place")?,
                line: number(row, "line")?,
            },
        };
        Ok(Self {
            node: name(row, "node")?,
            key: parsed(row, "key")?,
            kind,
            at_ms: number(row, "at_ms")?,
        })
    }
}
