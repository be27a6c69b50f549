//! What the columns of a table are: features, label, client and group.

use commonweal_core::job::{Column, Data, DataTask, Missing};
use serde::{Deserialize, Serialize};

use super::CsvError;
use super::csv::MAX_BYTES;
use super::infer::{ColumnFacts, Survey};
use crate::gzip::unpacked;

/// The parts that the columns of a file play. Columns that it does not name are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// Feature columns in the order in which a model sees them.
    pub features: Vec<Feature>,
    /// The target; none for a file to predict from.
    pub label: Option<Label>,
    /// Column that names the client of a row.
    pub client: Option<String>,
    /// Column whose equal values stay on one side of a split.
    pub group: Option<String>,
    /// Column that tells one sensor series from another.
    pub series: Option<String>,
    /// What happens to a row without label, client, group or series: `Refuse`, or it is dropped.
    pub keyless: Missing,
    /// Texts that stand for a missing label, client, group or series; the empty cell always does.
    pub missing_values: Vec<String>,
    /// Character between fields, ASCII.
    pub delimiter: char,
}

/// A column that a model learns from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// Name in the header.
    pub name: String,
    /// Number or level.
    pub kind: FeatureKind,
    /// What happens to a missing cell.
    pub missing: Missing,
    /// Texts that stand for a missing cell; the empty cell always does.
    pub missing_values: Vec<String>,
}

/// How a cell is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKind {
    /// A finite number.
    Numeric,
    /// One of several levels, one-hot encoded.
    Categorical {
        /// Levels in order; `None` lets `prepare` find them, in byte order.
        levels: Option<Vec<String>>,
        /// Whether the first level is encoded as all zeros.
        drop_first: bool,
    },
}

/// The column of the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Name in the header.
    pub column: String,
    /// How it is read.
    pub kind: LabelKind,
}

/// What a label is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelKind {
    /// A class by name; `None` lets `prepare` find the classes, in byte order.
    Class(Option<Vec<String>>),
    /// A number: class 1 above this, class 0 otherwise.
    Above(f64),
    /// A number to predict.
    Value,
}

/// Why a job's `[data]` does not fit its file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SchemaError {
    /// The file cannot be read as a table at all.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// The job names a column that the file does not have.
    #[error("{key} names the column `{column}`, which the file does not have; it has: {}", header.join(", "))]
    NoSuchColumn {
        /// Key of the job.
        key: String,
        /// Column named there.
        column: String,
        /// The file's columns.
        header: Vec<String>,
    },
    /// The job does not say which column is to be predicted.
    #[error("say which column is to be predicted: data.label = \"COLUMN\"; the file has: {}", header.join(", "))]
    NoLabel {
        /// The file's columns.
        header: Vec<String>,
    },
    /// Nothing is left to learn from.
    #[error("no column is left to learn from; take some out of data.drop, or name data.features")]
    NoFeatures,
    /// The delimiter is not one ASCII character.
    #[error(
        "data.delimiter must be one ASCII character that is no quote, digit, letter or line end"
    )]
    Delimiter,
}

impl Schema {
    /// The schema that `data` declares for the file with content `bytes`, plain or gzip.
    ///
    /// A column that `data` says nothing of is a number if all its cells are, otherwise a category.
    /// Reads the whole file once.
    ///
    /// # Errors
    /// [`SchemaError`].
    pub fn of(data: &Data, bytes: &[u8]) -> Result<Self, SchemaError> {
        Self::of_all(data, [bytes]).map_err(|(_, error)| error)
    }

    /// The schema that `data` declares for several files of one header, as for one with all their rows.
    ///
    /// # Errors
    /// The position of the file at fault, and [`SchemaError`].
    pub(crate) fn of_all<'a>(
        data: &Data,
        files: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, (usize, SchemaError)> {
        let delimiter = ascii_delimiter(data.delimiter).map_err(|error| (0, error))?;
        let mut survey = Survey::default();
        for (place, bytes) in files.into_iter().enumerate() {
            let add = unpacked(bytes, MAX_BYTES)
                .map_err(CsvError::from)
                .and_then(|content| {
                    survey.add(&content, delimiter, &data.missing_values, |name| {
                        is_wanted(data, name)
                    })
                });
            add.map_err(|error| (place, error.into()))?;
        }
        Self::surveyed(data, &survey).map_err(|error| (0, error))
    }

    fn surveyed(data: &Data, survey: &Survey) -> Result<Self, SchemaError> {
        expect_columns(data, survey)?;
        let label_column = data.label.as_ref().ok_or_else(|| SchemaError::NoLabel {
            header: survey.header(),
        })?;
        let series = data.windows.as_ref().map(|windows| &windows.series);
        let special = [
            data.label.as_ref(),
            data.client.as_ref(),
            data.group.as_ref(),
            series,
        ];
        let has_other_part = |name: &String| {
            special.contains(&Some(name))
                || data.drop.contains(name)
                || matches!(data.columns.get(name), Some(Column::Drop))
        };
        let named: Vec<String> = match &data.features {
            Some(features) => features.clone(),
            None => survey
                .header()
                .into_iter()
                .filter(|name| !has_other_part(name))
                .collect(),
        };
        let features: Vec<(&str, bool)> = named
            .iter()
            .filter_map(|name| {
                let facts = survey.column(name)?;
                Some((name.as_str(), facts.is_numeric()))
            })
            .collect();
        if features.is_empty() {
            return Err(SchemaError::NoFeatures);
        }
        let looks_like_a_value = survey
            .column(label_column)
            .is_some_and(ColumnFacts::looks_like_a_value);
        let label = (label_column.as_str(), looks_like_a_value);
        Ok(Self {
            client: data.client.clone(),
            group: data.group.clone(),
            series: data.windows.as_ref().map(|windows| windows.series.clone()),
            ..Self::declared(data, features, Some(label))
        })
    }

    /// The schema that `data` declares for rows of these columns, none of which names a client, a group or a
    /// series. Where it does not say, a column is a number if its flag is set, and the label one to predict.
    pub(crate) fn declared<'a>(
        data: &Data,
        columns: impl IntoIterator<Item = (&'a str, bool)>,
        label: Option<(&str, bool)>,
    ) -> Self {
        let feature = |(name, is_numeric)| feature(data, name, is_numeric);
        Self {
            features: columns.into_iter().map(feature).collect(),
            label: label.map(|(column, looks_like_a_value)| Label {
                column: column.to_owned(),
                kind: label_kind(data, looks_like_a_value),
            }),
            client: None,
            group: None,
            series: None,
            keyless: if data.missing == Missing::DropRow {
                Missing::DropRow
            } else {
                Missing::Refuse
            },
            missing_values: data.missing_values.clone(),
            delimiter: data.delimiter,
        }
    }

    /// The same without the columns that say which rows belong together: what is predicted of a row does not
    /// need them.
    #[must_use]
    pub fn without_keys(self) -> Self {
        Self {
            client: None,
            group: None,
            series: None,
            ..self
        }
    }

    /// The classes that are fixed without asking the clients.
    pub(crate) fn declared_classes(&self) -> Option<Vec<String>> {
        match &self.label.as_ref()?.kind {
            LabelKind::Class(classes) => classes.clone(),
            LabelKind::Above(_) => Some(vec!["0".to_owned(), "1".to_owned()]),
            LabelKind::Value => None,
        }
    }

    /// The delimiter as the byte it is.
    pub(crate) fn delimiter_byte(&self) -> Result<u8, CsvError> {
        ascii_delimiter(self.delimiter).map_err(|_| CsvError::Delimiter)
    }
}

/// Whether a column may be a feature of an undeclared kind, or is the label.
fn is_wanted(data: &Data, name: &str) -> bool {
    let is_feature = match &data.features {
        Some(features) => features.iter().any(|feature| feature == name),
        None => !data.drop.iter().any(|dropped| dropped == name),
    };
    data.label.as_deref() == Some(name) || is_feature && !data.columns.contains_key(name)
}

fn ascii_delimiter(delimiter: char) -> Result<u8, SchemaError> {
    let fits = delimiter.is_ascii()
        && !delimiter.is_ascii_alphanumeric()
        && !matches!(delimiter, '"' | '\n' | '\r' | '\0' | '.' | '-' | '+');
    if fits {
        Ok(delimiter as u8)
    } else {
        Err(SchemaError::Delimiter)
    }
}

fn expect_columns(data: &Data, survey: &Survey) -> Result<(), SchemaError> {
    let single = [
        ("data.label", data.label.as_ref()),
        ("data.client", data.client.as_ref()),
        ("data.group", data.group.as_ref()),
        (
            "data.windows.series",
            data.windows.as_ref().map(|windows| &windows.series),
        ),
    ];
    let named = single
        .into_iter()
        .filter_map(|(key, column)| column.map(|column| (key.to_owned(), column)))
        .chain(
            data.features
                .iter()
                .flatten()
                .map(|column| ("data.features".to_owned(), column)),
        )
        .chain(
            data.drop
                .iter()
                .map(|column| ("data.drop".to_owned(), column)),
        )
        .chain(
            data.columns
                .keys()
                .map(|column| (format!("data.columns.{column}"), column)),
        );
    for (key, column) in named {
        if survey.column(column).is_none() {
            let (column, header) = (column.clone(), survey.header());
            return Err(SchemaError::NoSuchColumn {
                key,
                column,
                header,
            });
        }
    }
    Ok(())
}

fn feature(data: &Data, name: &str, is_numeric: bool) -> Feature {
    let declared = data.columns.get(name);
    let kind = match declared {
        Some(Column::Categorical {
            levels, drop_first, ..
        }) => FeatureKind::Categorical {
            levels: levels.clone(),
            drop_first: *drop_first,
        },
        Some(Column::Numeric { .. }) => FeatureKind::Numeric,
        Some(Column::Drop) | None if is_numeric => FeatureKind::Numeric,
        Some(Column::Drop) | None => FeatureKind::Categorical {
            levels: None,
            drop_first: false,
        },
    };
    let (missing, own_values) = match declared {
        Some(
            Column::Categorical {
                missing,
                missing_values,
                ..
            }
            | Column::Numeric {
                missing,
                missing_values,
            },
        ) => (missing.unwrap_or(data.missing), missing_values.as_slice()),
        Some(Column::Drop) | None => (data.missing, &[][..]),
    };
    let missing_values = data
        .missing_values
        .iter()
        .chain(own_values)
        .cloned()
        .collect();
    Feature {
        name: name.to_owned(),
        kind,
        missing,
        missing_values,
    }
}

fn label_kind(data: &Data, looks_like_a_value: bool) -> LabelKind {
    if let Some(threshold) = data.positive_above {
        return LabelKind::Above(threshold);
    }
    match data.task {
        Some(DataTask::Regression) => LabelKind::Value,
        None if data.classes.is_none() && looks_like_a_value => LabelKind::Value,
        _ => LabelKind::Class(data.classes.clone()),
    }
}
