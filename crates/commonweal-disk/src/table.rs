//! Cells of the run folder's CSV files and how reading one fails.

use std::str::FromStr;

/// Why a table of a run folder was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The CSV layer failed: the disk, the encoding or the number of cells.
    #[error("{0}")]
    Csv(#[from] csv::Error),
    /// The file is another kind of table.
    #[error("the header is not that of this table; expected {expected}")]
    Header {
        /// Columns that a reader knows.
        expected: String,
    },
    /// A cell is not of its column's type.
    #[error("line {line}, column {column:?}: {found:?} cannot be read")]
    Cell {
        /// Line of the file, from 1.
        line: u64,
        /// Name of the column.
        column: String,
        /// Text of the cell.
        found: String,
    },
}

/// One cell, with its place.
pub(crate) struct Cell<'a> {
    record: &'a csv::StringRecord,
    column: usize,
    name: &'a str,
}

impl<'a> Cell<'a> {
    pub(crate) fn of(record: &'a csv::StringRecord, column: usize, name: &'a str) -> Self {
        Self {
            record,
            column,
            name,
        }
    }

    pub(crate) fn text(&self) -> &'a str {
        self.record.get(self.column).unwrap_or("")
    }

    pub(crate) fn parse<T: FromStr>(&self) -> Result<T, TableError> {
        self.text().parse().map_err(|_| self.wrong())
    }

    pub(crate) fn optional<T: FromStr>(&self) -> Result<Option<T>, TableError> {
        if self.text().is_empty() {
            Ok(None)
        } else {
            self.parse().map(Some)
        }
    }

    pub(crate) fn wrong(&self) -> TableError {
        TableError::Cell {
            line: self.record.position().map_or(0, csv::Position::line),
            column: self.name.to_owned(),
            found: self.text().to_owned(),
        }
    }
}
