//! A table as it was read: typed columns whose levels and means are still to be agreed by all clients.

mod csv;
mod encode;
mod infer;
mod rows;
mod schema;
mod toml;

pub(crate) use self::csv::read_all;
pub use self::csv::{CsvError, read, read_features};
pub(crate) use encode::Agreed;
pub use encode::{EncodeError, Encoding};
pub use infer::{Inferred, infer};
pub use schema::{Feature, FeatureKind, Label, LabelKind, Schema, SchemaError};

use crate::dataset::rows_u32;
use crate::{Categories, DatasetError, Roster};

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

impl Cells {
    fn then(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Numeric(first), Self::Numeric(second)) => {
                Some(Self::Numeric([first.as_slice(), second].concat()))
            }
            (
                Self::Categorical { levels, codes },
                Self::Categorical {
                    levels: other_levels,
                    codes: other_codes,
                },
            ) => {
                let mut both: Vec<Box<str>> = levels.iter().chain(other_levels).cloned().collect();
                both.sort_unstable();
                both.dedup();
                let renumber = |levels: &[Box<str>], codes: &[u32]| -> Vec<u32> {
                    let renumbered: Vec<u32> = levels
                        .iter()
                        .map(|level| both.partition_point(|other| other < level) as u32)
                        .collect();
                    let of = |&code: &u32| renumbered.get(code as usize).copied();
                    codes
                        .iter()
                        .map(|code| of(code).unwrap_or(MISSING_LEVEL))
                        .collect()
                };
                let codes = [renumber(levels, codes), renumber(other_levels, other_codes)].concat();
                Some(Self::Categorical {
                    levels: both,
                    codes,
                })
            }
            _ => None,
        }
    }
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
    /// The rows of `self` for training, then those of `test`, read by the same schema, marked as the data
    /// set's own test file. Lines stay those of their own file.
    ///
    /// # Errors
    /// [`DatasetError`] if together there are too many rows, or the two were read differently.
    pub fn with_own_test(self, test: Self) -> Result<Self, DatasetError> {
        rows_u32(self.lines.len() + test.lines.len())?;
        let columns = self.columns.iter().zip(&test.columns);
        let columns: Option<Vec<Cells>> = columns.map(|(train, test)| train.then(test)).collect();
        let target = match (self.target, test.target) {
            (TableTarget::Values(mut train), TableTarget::Values(test)) => {
                train.extend(test);
                TableTarget::Values(train)
            }
            (train, test) if train == test => train,
            _ => return Err(DatasetError::TestShape),
        };
        Ok(Self {
            columns: columns
                .filter(|columns| columns.len() == self.schema.features.len())
                .ok_or(DatasetError::TestShape)?,
            schema: self.schema,
            target,
            roster: self.roster.then_test(&test.roster),
            series: match (self.series, test.series) {
                (Some(train), Some(test)) => Some(train.then(&test)),
                _ => None,
            },
            lines: [self.lines, test.lines].concat(),
        })
    }

    /// These rows only, in this order; levels that none of them has stay, and so do the lines of the file.
    ///
    /// # Panics
    /// If a row does not exist.
    #[must_use]
    pub fn select(&self, rows: &[u32]) -> Self {
        let target = match &self.target {
            TableTarget::Values(values) => TableTarget::Values(take(values, rows)),
            other => other.clone(),
        };
        let column = |cells: &Cells| match cells {
            Cells::Numeric(values) => Cells::Numeric(take(values, rows)),
            Cells::Categorical { levels, codes } => Cells::Categorical {
                levels: levels.clone(),
                codes: take(codes, rows),
            },
        };
        Self {
            columns: self.columns.iter().map(column).collect(),
            schema: self.schema.clone(),
            target,
            roster: self.roster.select(rows),
            series: self.series.as_ref().map(|series| series.select(rows)),
            lines: take(&self.lines, rows),
        }
    }

    /// A table of no rows.
    pub(crate) fn blank(schema: Schema) -> Self {
        let columns = schema.features.iter().map(|feature| match feature.kind {
            FeatureKind::Numeric => Cells::Numeric(Vec::new()),
            FeatureKind::Categorical { .. } => Cells::Categorical {
                levels: Vec::new(),
                codes: Vec::new(),
            },
        });
        let roster = Roster::new(0);
        let (target, roster) = match schema.label.as_ref().map(|label| &label.kind) {
            None => (TableTarget::Absent, roster),
            Some(LabelKind::Value) => (TableTarget::Values(Vec::new()), roster),
            Some(LabelKind::Class(_) | LabelKind::Above(_)) => {
                let labels = Categories::of([]);
                (TableTarget::Classes, roster.with_labels(labels))
            }
        };
        Self {
            columns: columns.collect(),
            target,
            roster,
            series: None,
            lines: Vec::new(),
            schema,
        }
    }

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

fn take<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
    rows.iter().map(|&row| values[row as usize]).collect()
}
