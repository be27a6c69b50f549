//! `input.json`: what a finished model takes in and what its outputs are called, for predictions without
//! the training data.

use std::sync::Arc;

use commonweal_core::Prepared;
use commonweal_data::table::{self, CsvError, EncodeError, Encoding, Schema};
use commonweal_data::{
    Dataset, DatasetError, ExampleShape, Features, FeaturesError, Floats, Input, Preparation,
    Roster, Source, Target, Targets,
};
use serde::{Deserialize, Serialize};

use crate::error::SimulationError;

/// What a model takes in and says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputRecord {
    rows: RowsRecord,
    /// Names of the classes or characters in the order of their numbers; none if a value is predicted.
    names: Option<Vec<String>>,
}

/// How a row becomes numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum RowsRecord {
    /// Columns of a table.
    Table { schema: Schema, encoding: Encoding },
    /// Numbers in this shape: pixels times the factor plus the offset of their channel, or as they are.
    Values {
        shape: Vec<usize>,
        channels: Vec<(f32, f32)>,
    },
    /// Characters.
    Text { length: usize },
}

/// Why rows cannot be predicted from.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A cell or a column does not fit.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// A level that the model does not know.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The features are faulty.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// The parts do not fit together.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A line of numbers has another length.
    #[error("line {line} has {found} fields; the model takes {expected} numbers a line")]
    Width {
        /// Line, from 1.
        line: usize,
        /// Values of an example.
        expected: usize,
        /// Fields found.
        found: usize,
    },
    /// A field is no number.
    #[error("line {line}, column {column}: not a finite number")]
    Field {
        /// Line, from 1.
        line: usize,
        /// Field, from 1.
        column: usize,
    },
    /// Text is not predicted from tables.
    #[error("a model of text takes no table")]
    Text,
}

impl InputRecord {
    /// Of a data set and what was found about it.
    pub(crate) fn of(
        source: &Source,
        preparation: &Preparation,
        prepared: &Prepared,
        data: &Dataset,
    ) -> Result<Self, SimulationError> {
        let rows = match (source, data.features()) {
            (Source::Table(table), _) => RowsRecord::Table {
                schema: table.schema().clone(),
                encoding: preparation.encoding(table, prepared)?,
            },
            (_, Features::Bytes(bytes)) => RowsRecord::Values {
                shape: bytes.shape().to_vec(),
                channels: (0..bytes.channels())
                    .map(|channel| bytes.affine(channel))
                    .collect(),
            },
            (_, Features::Floats(floats)) => RowsRecord::Values {
                shape: floats.shape().to_vec(),
                channels: Vec::new(),
            },
            (_, Features::Tokens(tokens)) => RowsRecord::Text {
                length: tokens.length(),
            },
        };
        Ok(Self {
            rows,
            names: names(data),
        })
    }

    /// Names of the classes or characters in the order of their numbers; none if a value is predicted.
    #[must_use]
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Name of the column that is predicted, where the rows are a table.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        match &self.rows {
            RowsRecord::Table { schema, .. } => schema.label.as_ref().map(|label| &*label.column),
            RowsRecord::Values { .. } | RowsRecord::Text { .. } => None,
        }
    }

    /// The shape of an example.
    #[must_use]
    pub fn example(&self) -> ExampleShape {
        let names = self.names.as_ref().map(Vec::len);
        let (input, target) = match &self.rows {
            RowsRecord::Text { length } => {
                let vocabulary = names.unwrap_or(0);
                (
                    Input::Tokens {
                        length: *length,
                        vocabulary,
                    },
                    Target::NextTokens(vocabulary),
                )
            }
            RowsRecord::Table { encoding, .. } => {
                (Input::Values(vec![encoding.names().len()]), target(names))
            }
            RowsRecord::Values { shape, .. } => (Input::Values(shape.clone()), target(names)),
        };
        ExampleShape { input, target }
    }

    /// Character between the fields of a CSV file.
    #[must_use]
    pub fn delimiter(&self) -> char {
        match &self.rows {
            RowsRecord::Table { schema, .. } => schema.delimiter,
            RowsRecord::Values { .. } | RowsRecord::Text { .. } => ',',
        }
    }

    /// A CSV file with labels as a data set to measure on; none if the rows are no table.
    ///
    /// # Errors
    /// [`InputError`], with line and column.
    pub fn labelled(&self, csv: &[u8]) -> Result<Option<Dataset>, InputError> {
        match &self.rows {
            RowsRecord::Table { schema, encoding } => {
                Ok(Some(encoding.dataset(&table::read(csv, schema)?)?))
            }
            RowsRecord::Values { .. } | RowsRecord::Text { .. } => Ok(None),
        }
    }

    /// A CSV file without label as a data set for predictions, and the line of each row.
    ///
    /// # Errors
    /// [`InputError`], with line and column.
    pub fn dataset(&self, csv: &[u8]) -> Result<(Dataset, Vec<u32>), InputError> {
        let (floats, lines) = match &self.rows {
            RowsRecord::Text { .. } => return Err(InputError::Text),
            RowsRecord::Table { schema, encoding } => {
                let table = table::read_features(csv, schema)?;
                (encoding.features(&table)?, table.lines().to_vec())
            }
            RowsRecord::Values { shape, channels } => values(csv, shape, channels)?,
        };
        let rows = floats.rows();
        let targets = match &self.names {
            None => Targets::Values(vec![0.0; rows]),
            Some(names) => {
                let labels: Arc<[u32]> = vec![0; rows].into();
                Targets::Classes {
                    labels,
                    classes: names.len() as u32,
                }
            }
        };
        let roster = Roster::new(rows as u32);
        let dataset = Dataset::new(Features::Floats(floats), targets, roster)?;
        Ok((dataset, lines))
    }
}

fn target(names: Option<usize>) -> Target {
    names.map_or(Target::Value, Target::Classes)
}

fn names(data: &Dataset) -> Option<Vec<String>> {
    match (data.targets(), data.features()) {
        (Targets::NextTokens, Features::Tokens(tokens)) => {
            // What is no character of the vocabulary has the last number.
            let characters = tokens.vocabulary().characters().iter().map(char::to_string);
            let mut names: Vec<String> = characters.collect();
            names.resize(tokens.vocabulary().len(), "\u{fffd}".to_owned());
            Some(names)
        }
        (Targets::Classes { classes, .. }, _) => {
            let labels = data.roster().labels();
            let named = labels.map(|labels| labels.names()).unwrap_or_default();
            let name = |class: usize| {
                named
                    .get(class)
                    .map_or(class.to_string(), ToString::to_string)
            };
            Some((0..*classes as usize).map(name).collect())
        }
        _ => None,
    }
}

/// Lines of numbers, and the line of each row; a first line that is none is a header.
fn values(
    csv: &[u8],
    shape: &[usize],
    channels: &[(f32, f32)],
) -> Result<(Floats, Vec<u32>), InputError> {
    let width: usize = shape.iter().product();
    let plane = width / channels.len().max(1);
    let (mut values, mut lines) = (Vec::new(), Vec::new());
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(csv);
    for (index, record) in reader.byte_records().enumerate() {
        let line = index + 1;
        let record = record.map_err(|_| InputError::Field { line, column: 1 })?;
        let numbers = record.iter().map(number);
        if index == 0 && numbers.clone().any(|number| number.is_none()) {
            continue;
        }
        if record.len() != width {
            return Err(InputError::Width {
                line,
                expected: width,
                found: record.len(),
            });
        }
        lines.push(line as u32);
        for (at, number) in numbers.enumerate() {
            let number = number.ok_or(InputError::Field {
                line,
                column: at + 1,
            })?;
            let (scale, offset) = channels.get(at / plane).copied().unwrap_or((1.0, 0.0));
            values.push(number * scale + offset);
        }
    }
    Ok((Floats::new(values, shape.to_vec())?, lines))
}

fn number(field: &[u8]) -> Option<f32> {
    let number: f32 = std::str::from_utf8(field).ok()?.trim().parse().ok()?;
    number.is_finite().then_some(number)
}
