//! What a federation learns about its data before the first round: counts, moments and levels of columns.

mod bytes;
mod found;
mod sums;

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

pub use found::{ColumnFound, Found, Prepared};
pub use sums::PrepareSums;

/// Which columns are summed up, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PrepareSpec {
    /// The columns, in the order of the sums.
    pub columns: Vec<ColumnSpec>,
}

/// What is wanted of one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSpec {
    /// The column's name.
    pub name: String,
    /// What is wanted of it.
    pub statistic: Statistic,
}

/// A statistic of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Count, mean and deviation of its numbers.
    Moments,
    /// Its distinct texts, each with its count in training rows: category levels, classes, a vocabulary. A
    /// class that only test rows have counts 0.
    Levels,
}

/// Why data cannot be summed up, or sums cannot be used.
///
/// Crosses the wire, so it names columns and never a value, a level or a number of rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// A value that is not finite, or not below 2^64.
    #[error("column {column:?} has a value that is not a finite number below 2^64")]
    OutOfRange {
        /// The column.
        column: String,
    },
    /// A level that is too long.
    #[error(
        "column {column:?} has a level of more than {} bytes",
        PrepareSpec::MAX_LEVEL_BYTES
    )]
    LongLevel {
        /// The column.
        column: String,
    },
    /// Too many distinct levels.
    #[error(
        "column {column:?} has more than {most} levels: if it holds numbers, declare it numeric"
    )]
    ManyLevels {
        /// The column.
        column: String,
        /// The most, of one client or of all.
        most: usize,
    },
    /// Another statistic than the column's.
    #[error("column {column:?} is summed up by another statistic")]
    OtherStatistic {
        /// The column.
        column: String,
    },
    /// No such column in the spec.
    #[error("there is no column {index} to sum up, only {columns}")]
    NoSuchColumn {
        /// Columns of the spec.
        columns: usize,
        /// The index asked for.
        index: usize,
    },
    /// More values in a column than one client may sum up.
    #[error("column {column:?} has more than {most} values, the most of one client among so many")]
    Share {
        /// The column.
        column: String,
        /// The most.
        most: u64,
    },
    /// More than 2^31 values in a column.
    #[error("column {column:?} has more than 2^31 values")]
    TooMany {
        /// The column.
        column: String,
    },
    /// Sums of another spec.
    #[error("the sums are not those of the columns asked for")]
    OtherColumns,
    /// Bytes that are no sums.
    #[error("the sums break off or are malformed at byte {at}")]
    Malformed {
        /// Byte offset.
        at: usize,
    },
    /// Sums that no rows could have given.
    #[error("the sums of column {column:?} contradict each other")]
    Inconsistent {
        /// The column.
        column: String,
    },
    /// Nothing was summed up.
    #[error("no client had a row to sum up")]
    NoRows,
}

impl PrepareSpec {
    /// Most distinct levels of a column at one client.
    pub const MAX_LEVELS: usize = 65_536;

    /// Most distinct levels of a column at all clients: room for one that makes levels up, besides those of the others.
    pub const MAX_LEVELS_TOGETHER: usize = 2 * Self::MAX_LEVELS;

    /// Longest level, in bytes of UTF-8.
    pub const MAX_LEVEL_BYTES: usize = 255;
}
