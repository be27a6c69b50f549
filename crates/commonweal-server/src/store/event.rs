//! Events of runs: numbered from 1 without a gap, each number once.

use commonweal_wire::control::NumberedEvent;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::database::Database;
use super::row::{number, wrong};
use super::run::missing;
use super::{Note, StoreError};

/// The events of a store.
pub struct Events<'a>(pub(super) &'a Database);

impl Events<'_> {
    /// Appends events to a run's; returns the last one's number.
    ///
    /// # Errors
    /// [`StoreError::Missing`] without such a run.
    pub async fn append(&self, run: &str, note: Note<'_>) -> Result<u64, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let written = async {
            let mut write = sqlite.write().await?;
            let last = append(&mut write, run, note).await?;
            write.commit().await?;
            Ok(last)
        };
        let last = self.0.told(written.await)?;
        last.ok_or_else(|| missing(run))
    }

    /// A run's events after number `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn after(
        &self,
        run: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<NumberedEvent>, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let read = async {
            let rows = sqlx::query(
                "SELECT * FROM events WHERE run = $1 AND number > $2 ORDER BY number LIMIT $3",
            )
            .bind(run)
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(limit)
            .fetch_all(&sqlite.readers)
            .await?;
            rows.iter().map(numbered).collect()
        };
        self.0.told(read.await)
    }
}

/// The last event's number, if there is such a run.
pub(super) async fn append(
    write: &mut Transaction<'static, Sqlite>,
    run: &str,
    note: Note<'_>,
) -> sqlx::Result<Option<u64>> {
    let count = note.events.len() as u64;
    let last: Option<i64> =
        sqlx::query_scalar("UPDATE runs SET events = events + $1 WHERE id = $2 RETURNING events")
            .bind(count.cast_signed())
            .bind(run)
            .fetch_optional(&mut **write)
            .await?;
    let Some(last) = last.map(i64::cast_unsigned) else {
        return Ok(None);
    };
    for (number, event) in (last - count + 1..).zip(note.events) {
        sqlx::query("INSERT INTO events (run, number, at_ms, event) VALUES ($1, $2, $3, $4)")
            .bind(run)
            .bind(number.cast_signed())
            .bind(note.at_ms.cast_signed())
            .bind(event.to_string())
            .execute(&mut **write)
            .await?;
    }
    Ok(Some(last))
}

fn numbered(row: &SqliteRow) -> sqlx::Result<NumberedEvent> {
    let event: &str = row.try_get("event")?;
    Ok(NumberedEvent {
        number: number(row, "number")?,
        at_ms: number(row, "at_ms")?,
        event: serde_json::from_str(event).map_err(|error| wrong("event", error))?,
    })
}
