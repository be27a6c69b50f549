//! Lines of runs' logs: numbered from 1 without a gap, each number once.

use commonweal_wire::control::LogLine;
use sqlx::FromRow;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::StoreError;
use super::database::Database;
use super::row::{Word, number};
use super::run::missing;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// Somebody may have to do something.
    Warn,
    /// Somebody has to.
    Error,
}

impl Word for Level {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Info, "info"),
        (Self::Warn, "warn"),
        (Self::Error, "error"),
    ];
}

/// The log lines of a store.
pub struct Lines<'a>(pub(super) &'a Database);

impl Lines<'_> {
    /// Appends a line to a run's log; returns its number.
    ///
    /// # Errors
    /// [`StoreError::Missing`] without such a run.
    pub async fn append(
        &self,
        run: &str,
        at_ms: u64,
        level: Level,
        text: &str,
    ) -> Result<u64, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let written = async {
            let mut write = sqlite.write().await?;
            let number: Option<i64> = sqlx::query_scalar(
                "UPDATE runs SET lines = lines + 1 WHERE id = $1 RETURNING lines",
            )
            .bind(run)
            .fetch_optional(&mut *write)
            .await?;
            let Some(number) = number else {
                return Ok(None);
            };
            sqlx::query(
                "INSERT INTO lines (run, number, at_ms, level, words) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(run)
            .bind(number)
            .bind(at_ms.cast_signed())
            .bind(level.word())
            .bind(text)
            .execute(&mut *write)
            .await?;
            write.commit().await?;
            Ok(Some(number.cast_unsigned()))
        };
        let number = self.0.told(written.await)?;
        number.ok_or_else(|| missing(run))
    }

    /// The lines of a run's log after number `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn after(
        &self,
        run: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<LogLine>, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let lines: Vec<Line> = sqlx::query_as(
            "SELECT * FROM lines WHERE run = $1 AND number > $2 ORDER BY number LIMIT $3",
        )
        .bind(run)
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(limit)
        .fetch_all(&sqlite.readers)
        .await
        .map_err(|error| self.0.blame(error))?;
        Ok(lines.into_iter().map(|Line(line)| line).collect())
    }
}

struct Line(LogLine);

impl FromRow<'_, SqliteRow> for Line {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self(LogLine {
            number: number(row, "number")?,
            at_ms: number(row, "at_ms")?,
            level: row.try_get("level")?,
            text: row.try_get("words")?,
        }))
    }
}
