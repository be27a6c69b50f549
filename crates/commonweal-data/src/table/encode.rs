//! From a table to numbers that a model takes: one-hot levels, filled gaps, scaled columns.

use commonweal_core::job::Missing;
use serde::{Deserialize, Serialize};

use super::{Cells, Feature, FeatureKind, MISSING_LEVEL, Schema, Table, TableTarget};
use crate::{Dataset, DatasetError, Features, FeaturesError, Floats, Targets};

/// How every cell of a schema becomes numbers: equal on all clients, since it was agreed by all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Encoding {
    columns: Vec<Column>,
    classes: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Column {
    name: String,
    cells: CellEncoding,
    indicator: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum CellEncoding {
    /// The number itself, scaled; a missing cell is `fill` before scaling.
    Number {
        fill: f32,
        mean: f32,
        deviation: f32,
    },
    /// 1 at the cell's level, in the order of `levels` from `first`; a missing cell is `fill`, and all
    /// zeros a level that is not listed: no training row had it.
    OneHot {
        levels: Vec<String>,
        first: usize,
        fill: Option<String>,
    },
}

/// What all clients know of one column together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Agreed {
    /// Mean and deviation of a numeric column.
    Moments { mean: f32, deviation: f32 },
    /// Levels of a categorical column in order, and the most frequent.
    Levels {
        levels: Vec<String>,
        most_frequent: Option<String>,
    },
    /// Nothing was asked.
    Nothing,
}

/// Why a table does not fit an encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The table has other columns.
    #[error("the table has other columns than the encoding: expected {expected}, found {found}")]
    OtherColumns {
        /// Columns of the encoding.
        expected: usize,
        /// Columns of the table.
        found: usize,
    },
    /// A column is a number on one side and a category on the other.
    #[error(
        "column `{column}` is numeric on one side and categorical on the other; declare its kind"
    )]
    OtherKind {
        /// The column.
        column: String,
    },
    /// A label that nobody agreed on.
    #[error("line {line}, column `{column}`: a label that is not among the known classes")]
    UnknownClass {
        /// Line, from 1.
        line: u32,
        /// Column.
        column: String,
    },
    /// The table has no label to learn.
    #[error("the table was read without its label")]
    NoLabel,
    /// The features do not fit.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// The parts do not fit.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

impl Encoding {
    /// The encoding of `schema` with what was agreed of each feature, in the same order, and of the
    /// classes; `is_scaled` says whether agreed moments scale a column, or only fill its gaps.
    pub(crate) fn new(
        schema: &Schema,
        agreed: Vec<Agreed>,
        is_scaled: bool,
        classes: Option<Vec<String>>,
    ) -> Self {
        let columns = schema
            .features
            .iter()
            .zip(agreed)
            .map(|(feature, agreed)| Column {
                name: feature.name.clone(),
                cells: cell_encoding(feature, agreed, is_scaled),
                indicator: feature.missing == Missing::Indicator,
            });
        Self {
            columns: columns.collect(),
            classes,
        }
    }

    /// Names of the encoded features: `age`, `sex=male`, `age missing`.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for column in &self.columns {
            match &column.cells {
                CellEncoding::Number { .. } => names.push(column.name.clone()),
                CellEncoding::OneHot { levels, first, .. } => {
                    let level = |level: &String| format!("{}={level}", column.name);
                    names.extend(levels[*first..].iter().map(level));
                }
            }
            if column.indicator {
                names.push(format!("{} missing", column.name));
            }
        }
        names
    }

    /// Names of the classes in the order of their numbers; none if the target is a value.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// Which encoded features are numbers, and so are scaled by their moments.
    pub fn numeric(&self) -> Vec<bool> {
        let of = |column: &Column| {
            let own = match &column.cells {
                CellEncoding::Number { .. } => vec![true],
                CellEncoding::OneHot { levels, first, .. } => vec![false; levels.len() - first],
            };
            own.into_iter()
                .chain(column.indicator.then_some(false))
                .collect::<Vec<_>>()
        };
        self.columns.iter().flat_map(of).collect()
    }

    /// The features of `table`, scaled.
    ///
    /// # Errors
    /// [`EncodeError`], with line and column.
    pub fn features(&self, table: &Table) -> Result<Floats, EncodeError> {
        if table.columns.len() != self.columns.len() {
            let (expected, found) = (self.columns.len(), table.columns.len());
            return Err(EncodeError::OtherColumns { expected, found });
        }
        let names = self.names();
        let (width, rows) = (names.len(), table.rows() as usize);
        let mut values = vec![0.0; width * rows];
        let mut at = 0;
        for (column, cells) in self.columns.iter().zip(&table.columns) {
            at += column.write(cells, width, at, &mut values)?;
        }
        Ok(Floats::new(values, vec![width])?.with_names(names))
    }

    /// `table` as a data set.
    ///
    /// # Errors
    /// [`EncodeError`], with line and column.
    pub fn dataset(&self, table: &Table) -> Result<Dataset, EncodeError> {
        self.dataset_where(table, |_| true)
    }

    /// As [`Self::dataset`], but a row that is not used may have a class that nobody agreed on.
    pub(crate) fn dataset_where(
        &self,
        table: &Table,
        is_used: impl Fn(usize) -> bool,
    ) -> Result<Dataset, EncodeError> {
        let features = Features::Floats(self.features(table)?);
        let mut roster = table.roster.clone();
        match (&table.target, table.roster.labels()) {
            (TableTarget::Values(values), _) => Ok(Dataset::new(
                features,
                Targets::Values(values.clone()),
                roster,
            )?),
            (TableTarget::Classes, Some(labels)) => {
                if let Some(classes) = &self.classes {
                    let column = || {
                        let label = table.schema.label.as_ref();
                        label.map(|label| label.column.clone()).unwrap_or_default()
                    };
                    let labels = labels.under_where(classes, is_used).map_err(|row| {
                        EncodeError::UnknownClass {
                            line: table.lines[row],
                            column: column(),
                        }
                    })?;
                    roster = roster.with_labels(labels);
                }
                Ok(Dataset::classified(features, roster)?)
            }
            _ => Err(EncodeError::NoLabel),
        }
    }
}

fn cell_encoding(feature: &Feature, agreed: Agreed, is_scaled: bool) -> CellEncoding {
    let fills = matches!(feature.missing, Missing::Mean | Missing::Indicator);
    match (&feature.kind, agreed) {
        (FeatureKind::Numeric, Agreed::Moments { mean, deviation }) => {
            let fill = if fills { mean } else { 0.0 };
            let (mean, deviation) = if is_scaled {
                (mean, deviation)
            } else {
                (0.0, 1.0)
            };
            CellEncoding::Number {
                fill,
                mean,
                deviation,
            }
        }
        (FeatureKind::Numeric, _) => CellEncoding::Number {
            fill: 0.0,
            mean: 0.0,
            deviation: 1.0,
        },
        (
            FeatureKind::Categorical {
                levels: declared,
                drop_first,
            },
            agreed,
        ) => {
            let (found, most_frequent) = match agreed {
                Agreed::Levels {
                    levels,
                    most_frequent,
                } => (levels, most_frequent),
                _ => (Vec::new(), None),
            };
            let levels = declared.clone().unwrap_or(found);
            CellEncoding::OneHot {
                first: usize::from(*drop_first).min(levels.len()),
                levels,
                fill: most_frequent.filter(|_| fills),
            }
        }
    }
}

impl Column {
    /// Writes this column's features from offset `at` of each row; returns how many there are.
    fn write(
        &self,
        cells: &Cells,
        width: usize,
        at: usize,
        values: &mut [f32],
    ) -> Result<usize, EncodeError> {
        let rows = values.chunks_exact_mut(width).map(|row| &mut row[at..]);
        match (&self.cells, cells) {
            (
                CellEncoding::Number {
                    fill,
                    mean,
                    deviation,
                },
                Cells::Numeric(numbers),
            ) => {
                let deviation = if *deviation > 0.0 { *deviation } else { 1.0 };
                for (row, &number) in rows.zip(numbers) {
                    let known = if number.is_nan() { *fill } else { number };
                    row[0] = (known - mean) / deviation;
                    if self.indicator {
                        row[1] = f32::from(u8::from(number.is_nan()));
                    }
                }
                Ok(1 + usize::from(self.indicator))
            }
            (
                CellEncoding::OneHot {
                    levels,
                    first,
                    fill,
                },
                Cells::Categorical { levels: own, codes },
            ) => {
                let position = |name: &str| levels.iter().position(|level| level == name);
                let positions: Vec<Option<usize>> = own.iter().map(|name| position(name)).collect();
                let fill = fill.as_deref().and_then(position);
                let features = levels.len() - first;
                for (row, &code) in rows.zip(codes) {
                    let is_missing = code == MISSING_LEVEL;
                    let level = if is_missing {
                        fill
                    } else {
                        positions[code as usize]
                    };
                    if let Some(feature) = level.and_then(|level| level.checked_sub(*first)) {
                        row[feature] = 1.0;
                    }
                    if self.indicator {
                        row[features] = f32::from(u8::from(is_missing));
                    }
                }
                Ok(features + usize::from(self.indicator))
            }
            _ => Err(EncodeError::OtherKind {
                column: self.name.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Label, LabelKind, read};
    use super::*;

    fn feature(name: &str, kind: FeatureKind, missing: Missing) -> Feature {
        Feature {
            name: name.to_owned(),
            kind,
            missing,
            missing_values: Vec::new(),
        }
    }

    fn one_hot(drop_first: bool) -> FeatureKind {
        FeatureKind::Categorical {
            levels: None,
            drop_first,
        }
    }

    fn levels(levels: &[&str], most_frequent: &str) -> Agreed {
        Agreed::Levels {
            levels: levels.iter().map(|level| (*level).to_owned()).collect(),
            most_frequent: Some(most_frequent.to_owned()),
        }
    }

    fn encoded(
        file: &str,
        features: Vec<Feature>,
        agreed: Vec<Agreed>,
    ) -> Result<Dataset, EncodeError> {
        let schema = Schema {
            features,
            label: Some(Label {
                column: "y".to_owned(),
                kind: LabelKind::Class(None),
            }),
            client: None,
            group: None,
            series: None,
            keyless: Missing::Refuse,
            missing_values: Vec::new(),
            delimiter: ',',
        };
        let table = read(file.as_bytes(), &schema).expect("a sound file");
        let classes = Some(vec!["a".to_owned(), "b".to_owned()]);
        Encoding::new(&schema, agreed, true, classes).dataset(&table)
    }

    fn rows(data: &Dataset) -> Vec<Vec<f32>> {
        let Features::Floats(floats) = data.features() else {
            panic!("a table is floats")
        };
        (0..data.rows())
            .map(|row| floats.row(row).to_vec())
            .collect()
    }

    #[test]
    fn a_missing_number_becomes_the_mean_or_zero_before_scaling() {
        let file = "p,q,r,y\n1,1,1,a\n,,,b\n";
        let kinds = [Missing::Mean, Missing::Zero, Missing::Indicator];
        let features = ["p", "q", "r"].iter().zip(kinds);
        let features = features.map(|(name, missing)| feature(name, FeatureKind::Numeric, missing));
        let agreed = vec![
            Agreed::Moments {
                mean: 3.0,
                deviation: 2.0
            };
            3
        ];
        let data = encoded(file, features.collect(), agreed).expect("fits");
        assert_eq!(
            rows(&data),
            [[-1.0, -1.0, -1.0, 0.0], [0.0, -1.5, 0.0, 1.0]]
        );
    }

    #[test]
    fn levels_are_one_hot_in_the_agreed_order_without_the_first_if_so_asked() {
        let file = "p,q,y\nu,u,a\nv,v,b\nw,w,b\n";
        let features = vec![
            feature("p", one_hot(false), Missing::Refuse),
            feature("q", one_hot(true), Missing::Refuse),
        ];
        let agreed = vec![
            levels(&["w", "v", "u"], "u"),
            levels(&["u", "v", "w", "x"], "u"),
        ];
        let data = encoded(file, features, agreed).expect("fits");
        let expected = [
            [0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
            [0.0, 1.0, 0.0, 1.0, 0.0, 0.0],
            [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        ];
        assert_eq!(rows(&data), expected);
    }

    #[test]
    fn a_missing_level_is_the_most_frequent_with_or_without_a_flag() {
        let file = "p,q,y\n,,a\n";
        let features = vec![
            feature("p", one_hot(false), Missing::Mean),
            feature("q", one_hot(false), Missing::Indicator),
        ];
        let agreed = vec![levels(&["u", "v"], "v"), levels(&["u", "v"], "v")];
        let data = encoded(file, features, agreed).expect("fits");
        assert_eq!(rows(&data), [[0.0, 1.0, 0.0, 1.0, 1.0]]);
    }

    #[test]
    fn a_level_that_no_training_row_had_is_all_zeros() {
        let features = vec![feature("p", one_hot(false), Missing::Refuse)];
        let data = encoded("p,y\nu,a\nv,a\n", features, vec![levels(&["u"], "u")]).expect("fits");
        assert_eq!(rows(&data), [[1.0], [0.0]]);
    }

    #[test]
    fn a_class_that_nobody_agreed_on_is_refused_by_line() {
        let features = vec![feature("p", one_hot(false), Missing::Refuse)];
        let column = "y".to_owned();
        assert_eq!(
            encoded("p,y\nu,a\nu,c\n", features, vec![levels(&["u"], "u")]),
            Err(EncodeError::UnknownClass { line: 3, column })
        );
    }
}
