//! A table as it was read: typed columns whose levels and means are still to be agreed by all clients.

mod csv;
mod encode;
mod infer;
mod rows;
mod schema;

pub use self::csv::{CsvError, read, read_features};
pub(crate) use encode::Agreed;
pub use encode::{EncodeError, Encoding};
pub use infer::{Inferred, infer};
pub use schema::{Feature, FeatureKind, Label, LabelKind, Schema, SchemaError};

use crate::{Categories, Roster};

/// Columns by row, in the order of the schema's features; not yet numbers that a model could take.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub(crate) schema: Schema,
    pub(crate) columns: Vec<Cells>,
    pub(crate) target: TableTarget,
    pub(crate) roster: Roster,
    pub(crate) series: Option<Categories>,
    pub(crate) lines: Vec<u32>,
}

/// The cells of one column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cells {
    /// Finite numbers; NaN is a missing cell and nothing else.
    Numeric(Vec<f32>),
    /// Codes into levels in byte order; [`MISSING_LEVEL`] is a missing cell.
    Categorical {
        levels: Vec<Box<str>>,
        codes: Vec<u32>,
    },
}

/// The code of a missing cell.
pub(crate) const MISSING_LEVEL: u32 = u32::MAX;

/// What a table says of the target.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TableTarget {
    /// Nothing: the table was read for prediction.
    Absent,
    /// The roster's labels.
    Classes,
    /// One number a row.
    Values(Vec<f32>),
}

impl Table {
    /// What is known of each row.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// How the columns were read.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Number of rows.
    pub fn rows(&self) -> u32 {
        self.roster.rows()
    }

    /// The line of the file that each row came from, from 1.
    pub fn lines(&self) -> &[u32] {
        &self.lines
    }
}
