//! From the fields of a line to the cells of a row, and from rows to columns.

use commonweal_core::ClientName;
use commonweal_core::job::Missing;

use super::csv::{CsvError, Records};
use super::{Cells, FeatureKind, Label, LabelKind, MISSING_LEVEL, Schema, Table, TableTarget};
use crate::categories::Interner;
use crate::{Categories, Roster};

/// Columns that a row cannot be without.
#[derive(Debug, Clone, Copy)]
enum Key {
    Label,
    Client,
    Group,
    Series,
}

const KEYS: [Key; 4] = [Key::Label, Key::Client, Key::Group, Key::Series];

impl Key {
    fn column(self, schema: &Schema) -> Option<&str> {
        match self {
            Self::Label => schema.label.as_ref().map(|label| label.column.as_str()),
            Self::Client => schema.client.as_deref(),
            Self::Group => schema.group.as_deref(),
            Self::Series => schema.series.as_deref(),
        }
    }
}

/// Reads one line at a time into cells; what a line lacks decides whether it becomes a row.
pub(super) struct RowReader<'s> {
    schema: &'s Schema,
    feature_fields: Vec<usize>,
    key_fields: [Option<usize>; KEYS.len()],
    cells: Vec<Cell>,
    keys: [String; KEYS.len()],
    target: f32,
}

#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Missing,
    Number(f32),
    Level(String),
}

impl<'s> RowReader<'s> {
    pub(super) fn new(schema: &'s Schema, header: &[String]) -> Result<Self, CsvError> {
        let field_of = |column: &str| {
            header
                .iter()
                .position(|name| name == column)
                .ok_or_else(|| CsvError::NoSuchColumn {
                    column: column.to_owned(),
                    header: header.to_vec(),
                })
        };
        let features = schema
            .features
            .iter()
            .map(|feature| field_of(&feature.name));
        let mut key_fields = [None; KEYS.len()];
        for key in KEYS {
            key_fields[key as usize] = key.column(schema).map(field_of).transpose()?;
        }
        Ok(Self {
            schema,
            feature_fields: features.collect::<Result<_, _>>()?,
            key_fields,
            cells: Vec::new(),
            keys: Default::default(),
            target: 0.0,
        })
    }

    /// Whether the line is a row, which is then held until the next call.
    pub(super) fn read(&mut self, records: &Records<'_>, line: u32) -> Result<bool, CsvError> {
        Ok(self.read_keys(records, line)? && self.read_features(records, line)?)
    }

    fn read_keys(&mut self, records: &Records<'_>, line: u32) -> Result<bool, CsvError> {
        for key in KEYS {
            let (Some(field), Some(column)) =
                (self.key_fields[key as usize], key.column(self.schema))
            else {
                continue;
            };
            let text = records.field(field, line)?;
            if is_missing(text, &self.schema.missing_values) {
                return match self.schema.keyless {
                    Missing::DropRow => Ok(false),
                    _ => Err(CsvError::MissingKey {
                        line,
                        column: column.to_owned(),
                    }),
                };
            }
            match key {
                Key::Label => self.read_label(text, line)?,
                Key::Client if ClientName::try_from(text).is_err() => {
                    return Err(CsvError::ClientName {
                        line,
                        column: column.to_owned(),
                    });
                }
                Key::Client | Key::Group | Key::Series => {}
            }
            let kept = &mut self.keys[key as usize];
            kept.clear();
            kept.push_str(text);
        }
        Ok(true)
    }

    fn read_label(&mut self, text: &str, line: u32) -> Result<(), CsvError> {
        let Some(label) = &self.schema.label else {
            return Ok(());
        };
        match &label.kind {
            LabelKind::Class(_) => {}
            LabelKind::Above(_) | LabelKind::Value => {
                self.target = number(text, line, &label.column)?;
            }
        }
        Ok(())
    }

    fn read_features(&mut self, records: &Records<'_>, line: u32) -> Result<bool, CsvError> {
        self.cells.clear();
        for (feature, &field) in self.schema.features.iter().zip(&self.feature_fields) {
            let text = records.field(field, line)?;
            let column = || feature.name.clone();
            let cell = if is_missing(text, &feature.missing_values) {
                match feature.missing {
                    Missing::Refuse => {
                        return Err(CsvError::Missing {
                            line,
                            column: column(),
                        });
                    }
                    Missing::DropRow => return Ok(false),
                    Missing::Mean | Missing::Zero | Missing::Indicator => Cell::Missing,
                }
            } else {
                match &feature.kind {
                    FeatureKind::Numeric => Cell::Number(number(text, line, &feature.name)?),
                    FeatureKind::Categorical {
                        levels: Some(levels),
                        ..
                    } if !levels.iter().any(|level| level == text) => {
                        return Err(CsvError::UnknownLevel {
                            line,
                            column: column(),
                        });
                    }
                    FeatureKind::Categorical { .. } => Cell::Level(text.to_owned()),
                }
            };
            self.cells.push(cell);
        }
        Ok(true)
    }
}

fn is_missing(text: &str, missing_values: &[String]) -> bool {
    text.is_empty() || missing_values.iter().any(|missing| missing == text)
}

fn number(text: &str, line: u32, column: &str) -> Result<f32, CsvError> {
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(CsvError::NotFinite {
            line,
            column: column.to_owned(),
        }),
        Err(_) => Err(CsvError::NotANumber {
            line,
            column: column.to_owned(),
        }),
    }
}

/// Collects rows by column.
pub(super) struct Builder {
    columns: Vec<ColumnBuilder>,
    keys: [(Interner, Vec<u32>); KEYS.len()],
    values: Vec<f32>,
    lines: Vec<u32>,
}

enum ColumnBuilder {
    Numeric(Vec<f32>),
    Categorical(Interner, Vec<u32>),
}

impl Builder {
    pub(super) fn new(schema: &Schema) -> Self {
        let columns = schema.features.iter().map(|feature| match feature.kind {
            FeatureKind::Numeric => ColumnBuilder::Numeric(Vec::new()),
            FeatureKind::Categorical { .. } => {
                ColumnBuilder::Categorical(Interner::default(), Vec::new())
            }
        });
        Self {
            columns: columns.collect(),
            keys: Default::default(),
            values: Vec::new(),
            lines: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, row: &RowReader<'_>, line: u32) {
        for (column, cell) in self.columns.iter_mut().zip(&row.cells) {
            match (column, cell) {
                (ColumnBuilder::Numeric(values), Cell::Number(value)) => values.push(*value),
                (ColumnBuilder::Numeric(values), _) => values.push(f32::NAN),
                (ColumnBuilder::Categorical(interner, codes), Cell::Level(level)) => {
                    codes.push(interner.code(level));
                }
                (ColumnBuilder::Categorical(_, codes), _) => codes.push(MISSING_LEVEL),
            }
        }
        for ((interner, codes), text) in self.keys.iter_mut().zip(&row.keys) {
            codes.push(interner.code(text));
        }
        self.values.push(row.target);
        self.lines.push(line);
    }

    pub(super) fn rows(&self) -> usize {
        self.lines.len()
    }

    /// The table, or the row at fault, from 0.
    pub(super) fn finish(self, schema: &Schema) -> Result<Table, (usize, CsvError)> {
        if self.lines.is_empty() {
            return Err((0, CsvError::NoRows));
        }
        let [label, client, group, series] =
            self.keys.map(|(interner, codes)| interner.finish(codes));
        let mut roster = Roster::new(self.lines.len() as u32);
        let labels = match schema
            .label
            .as_ref()
            .map(|label| (&label.kind, &label.column))
        {
            None | Some((LabelKind::Value, _)) => None,
            Some((LabelKind::Class(None), _)) => Some(label),
            Some((LabelKind::Class(Some(classes)), column)) => {
                let unknown = |row: usize| {
                    let (line, column) = (self.lines[row], column.clone());
                    (row, CsvError::UnknownClass { line, column })
                };
                Some(label.under(classes).map_err(unknown)?)
            }
            Some((LabelKind::Above(threshold), _)) => {
                let above = self
                    .values
                    .iter()
                    .map(|&value| f64::from(value) > *threshold);
                Some(Categories::flags(above))
            }
        };
        let is_value = matches!(
            schema.label,
            Some(Label {
                kind: LabelKind::Value,
                ..
            })
        );
        let target = match labels {
            Some(labels) => {
                roster = roster.with_labels(labels);
                TableTarget::Classes
            }
            None if is_value => TableTarget::Values(self.values),
            None => TableTarget::Absent,
        };
        if schema.client.is_some() {
            roster = roster.with_clients(client);
        }
        if schema.group.is_some() {
            roster = roster.with_groups(group);
        }
        let columns = self.columns.into_iter().map(|column| match column {
            ColumnBuilder::Numeric(values) => Cells::Numeric(values),
            ColumnBuilder::Categorical(interner, codes) => {
                let coded = interner.finish(codes);
                Cells::Categorical {
                    levels: coded.names().to_vec(),
                    codes: coded.codes().to_vec(),
                }
            }
        });
        Ok(Table {
            columns: columns.collect(),
            schema: schema.clone(),
            target,
            roster,
            series: schema.series.is_some().then_some(series),
            lines: self.lines,
        })
    }
}
