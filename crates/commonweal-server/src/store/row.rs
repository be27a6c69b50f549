//! Values in columns: each kind has one way in and one way out.

use std::str::FromStr;

use commonweal_core::{ClientName, Digest, Stage};
use commonweal_wire::control::RunState;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, ValueRef as _};

/// An enum that a column holds as a word.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// Each value with its word.
    const WORDS: &'static [(Self, &'static str)];

    /// The value's word.
    fn word(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(value, _)| *value == self);
        found.map_or("", |(_, word)| word)
    }

    /// The word's value.
    fn of_word(word: &str) -> Option<Self> {
        let found = Self::WORDS.iter().find(|(_, other)| *other == word);
        found.map(|(value, _)| *value)
    }
}

impl Word for RunState {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Waiting, "waiting"),
        (Self::Preparing, "preparing"),
        (Self::Running, "running"),
        (Self::Finished, "finished"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
    ];
}

impl Word for Stage {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Prepare, "prepare"),
        (Self::Train, "train"),
        (Self::Evaluate, "evaluate"),
    ];
}

/// A column's number. SQLite has no unsigned integers: the 64 bits stay as they are.
pub(super) fn number(row: &SqliteRow, column: &str) -> sqlx::Result<u64> {
    row.try_get::<i64, _>(column).map(i64::cast_unsigned)
}

/// A column's number, if there is one.
pub(super) fn maybe_number(row: &SqliteRow, column: &str) -> sqlx::Result<Option<u64>> {
    let number = row.try_get::<Option<i64>, _>(column)?;
    Ok(number.map(i64::cast_unsigned))
}

/// A column's digest.
pub(super) fn digest(row: &SqliteRow, column: &str) -> sqlx::Result<Digest> {
    let bytes: &[u8] = row.try_get(column)?;
    let bytes = bytes.try_into().map_err(|error| wrong(column, error))?;
    Ok(Digest::from_bytes(bytes))
}

/// A column's digest, if there is one.
pub(super) fn maybe_digest(row: &SqliteRow, column: &str) -> sqlx::Result<Option<Digest>> {
    match row.try_get_raw(column)?.is_null() {
        true => Ok(None),
        false => digest(row, column).map(Some),
    }
}

/// A column's text, as what it is a text of.
pub(super) fn parsed<T>(row: &SqliteRow, column: &str) -> sqlx::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error| wrong(column, error))
}

/// A column's word.
pub(super) fn word<T: Word>(row: &SqliteRow, column: &str) -> sqlx::Result<T> {
    let text: &str = row.try_get(column)?;
    T::of_word(text).ok_or_else(|| wrong(column, Unknown(text.to_owned())))
}

/// A column's name of a client.
pub(super) fn name(row: &SqliteRow, column: &str) -> sqlx::Result<ClientName> {
    let text: &str = row.try_get(column)?;
    ClientName::try_from(text).map_err(|error| wrong(column, error))
}

/// The error of a column whose value is none that a store writes.
pub(super) fn wrong(
    column: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(source),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is unknown")]
struct Unknown(String);
