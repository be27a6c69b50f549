//! Sensor series cut into windows. A window never leaves its series, so a split by series leaks nothing.

use commonweal_core::job::{Missing, Windows};

use crate::dataset::rows_u32;
use crate::table::{Cells, Table, TableTarget};
use crate::{Categories, Dataset, DatasetError, Features, FeaturesError, Floats, Roster, Targets};

/// Why a table cannot be cut into windows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeriesError {
    /// Nothing tells the series apart.
    #[error("the table was read without data.windows.series, the column that tells series apart")]
    NoSeries,
    /// A length or a stride of zero.
    #[error("data.windows.{key} must be at least 1")]
    Zero {
        /// The key.
        key: &'static str,
    },
    /// A feature is no number.
    #[error(
        "column `{column}` is categorical; a series has numeric features: name them in data.features"
    )]
    Categorical {
        /// The column.
        column: String,
    },
    /// A value is missing and cannot be filled.
    #[error(
        "line {line}, column `{column}`: a missing value in a series can be refused, dropped with its \
         line or taken for zero; set missing = \"drop_row\" or \"zero\""
    )]
    Missing {
        /// Line, from 1.
        line: u32,
        /// Column.
        column: String,
    },
    /// A series belongs to two clients or two groups.
    #[error("line {line}: the {key} changes within a series; a series belongs to one {key}")]
    Divided {
        /// Line, from 1.
        line: u32,
        /// `client` or `group`.
        key: &'static str,
    },
    /// No series fills a window.
    #[error("the longest series has {longest} instants; data.windows.length is {length}")]
    TooShort {
        /// Instants of the longest series.
        longest: usize,
        /// Instants a window.
        length: u32,
    },
    /// The table was read without its label.
    #[error("say which column is to be predicted: data.label = \"COLUMN\"")]
    NoLabel,
    /// The windows do not fit.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// The parts do not fit.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

/// Cuts each series into windows of `windows.length` instants (lines, in file order), `windows.stride`
/// apart; what is left at the end of a series is not used.
///
/// A window has the label of its last instant: what one knows when it is complete. Its group is the
/// table's group column, or the series.
///
/// # Errors
/// [`SeriesError`].
pub fn windows(table: &Table, windows: &Windows) -> Result<Dataset, SeriesError> {
    for (key, value) in [("length", windows.length), ("stride", windows.stride)] {
        if value == 0 {
            return Err(SeriesError::Zero { key });
        }
    }
    let series = table.series.as_ref().ok_or(SeriesError::NoSeries)?;
    let columns = numeric_columns(table)?;
    let by_series = rows_by_series(table, series)?;
    let length = windows.length as usize;
    let longest = by_series.iter().map(Vec::len).max().unwrap_or(0);
    if longest < length {
        return Err(SeriesError::TooShort {
            longest,
            length: windows.length,
        });
    }
    let (mut values, mut last_rows) = (Vec::new(), Vec::new());
    for rows in &by_series {
        for window in rows.windows(length).step_by(windows.stride as usize) {
            for &row in window {
                values.extend(columns.iter().map(|column| column[row as usize]));
            }
            last_rows.extend(window.last());
        }
    }
    let floats = Floats::new(values, vec![length, columns.len()])?.with_names(names(table));
    dataset(table, series, floats, &last_rows)
}

fn names(table: &Table) -> Vec<String> {
    table
        .schema
        .features
        .iter()
        .map(|feature| feature.name.clone())
        .collect()
}

/// The columns, with a zero where one stands for a missing value.
fn numeric_columns(table: &Table) -> Result<Vec<Vec<f32>>, SeriesError> {
    let of = |(cells, feature): (&Cells, &crate::table::Feature)| {
        let column = || feature.name.clone();
        let Cells::Numeric(values) = cells else {
            return Err(SeriesError::Categorical { column: column() });
        };
        let missing = values.iter().position(|value| value.is_nan());
        match missing {
            Some(row) if feature.missing != Missing::Zero => Err(SeriesError::Missing {
                line: table.lines[row],
                column: column(),
            }),
            _ => {
                let known = |&value: &f32| if value.is_nan() { 0.0 } else { value };
                Ok(values.iter().map(known).collect())
            }
        }
    };
    table
        .columns
        .iter()
        .zip(&table.schema.features)
        .map(of)
        .collect()
}

/// Rows of each series in file order; each series belongs to one client and one group.
fn rows_by_series(table: &Table, series: &Categories) -> Result<Vec<Vec<u32>>, SeriesError> {
    let mut by_series: Vec<Vec<u32>> = vec![Vec::new(); series.names().len()];
    for (row, &code) in series.codes().iter().enumerate() {
        let rows = &mut by_series[code as usize];
        let keys = [
            ("client", table.roster.clients()),
            ("group", table.roster.groups()),
        ];
        for (key, column) in keys {
            let differs = |first: &u32| {
                column.is_some_and(|column| column.codes()[row] != column.codes()[*first as usize])
            };
            if rows.first().is_some_and(differs) {
                return Err(SeriesError::Divided {
                    line: table.lines[row],
                    key,
                });
            }
        }
        rows.push(row as u32);
    }
    Ok(by_series)
}

fn dataset(
    table: &Table,
    series: &Categories,
    floats: Floats,
    last_rows: &[u32],
) -> Result<Dataset, SeriesError> {
    let groups = table.roster.groups().unwrap_or(series).select(last_rows);
    let mut roster = Roster::new(rows_u32(last_rows.len())?).with_groups(groups);
    if let Some(clients) = table.roster.clients() {
        roster = roster.with_clients(clients.select(last_rows));
    }
    let features = Features::Floats(floats);
    match (&table.target, table.roster.labels()) {
        (TableTarget::Values(values), _) => {
            let last = last_rows.iter().map(|&row| values[row as usize]).collect();
            Ok(Dataset::new(features, Targets::Values(last), roster)?)
        }
        (TableTarget::Classes, Some(labels)) => {
            let roster = roster.with_labels(labels.select(last_rows));
            Ok(Dataset::classified(features, roster)?)
        }
        _ => Err(SeriesError::NoLabel),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Feature, FeatureKind, Label, LabelKind, Schema, read};

    fn table(file: &str) -> Table {
        let feature = |name: &str| Feature {
            name: name.to_owned(),
            kind: FeatureKind::Numeric,
            missing: Missing::Mean,
            missing_values: Vec::new(),
        };
        let schema = Schema {
            features: vec![feature("p"), feature("q")],
            label: Some(Label {
                column: "y".to_owned(),
                kind: LabelKind::Class(None),
            }),
            client: Some("who".to_owned()),
            group: None,
            series: Some("run".to_owned()),
            keyless: Missing::Refuse,
            missing_values: Vec::new(),
            delimiter: ',',
        };
        read(file.as_bytes(), &schema).expect("a sound file")
    }

    fn cut(length: u32, stride: u32) -> Windows {
        Windows {
            length,
            stride,
            series: "run".to_owned(),
        }
    }

    const FILE: &str =
        "run,who,y,p,q\na,x,s,1,10\nb,z,t,5,50\na,x,s,2,20\na,x,t,3,30\nb,z,t,6,60\n";

    #[test]
    fn windows_stay_within_their_series_and_take_the_last_label() {
        let data = windows(&table(FILE), &cut(2, 1)).expect("two series");
        let Features::Floats(floats) = data.features() else {
            panic!("windows are floats")
        };
        assert_eq!(floats.shape(), [2, 2]);
        let rows: Vec<&[f32]> = (0..3).map(|row| floats.row(row)).collect();
        assert_eq!(
            rows,
            [
                [1.0, 10.0, 2.0, 20.0],
                [2.0, 20.0, 3.0, 30.0],
                [5.0, 50.0, 6.0, 60.0]
            ]
        );
        let (labels, groups) = (data.roster().labels(), data.roster().groups());
        assert_eq!(
            labels.map(|labels| labels.codes().to_vec()),
            Some(vec![0, 1, 1])
        );
        assert_eq!(
            groups.map(|groups| groups.codes().to_vec()),
            Some(vec![0, 0, 1])
        );
    }

    #[test]
    fn a_stride_skips_instants() {
        let data = windows(&table(FILE), &cut(1, 2)).expect("two series");
        assert_eq!(data.rows(), 3);
    }

    #[test]
    fn what_cannot_be_cut_says_why() {
        let refused = |file: &str, cut| windows(&table(file), &cut).expect_err("faulty");
        assert_eq!(
            refused(FILE, cut(4, 1)),
            SeriesError::TooShort {
                longest: 3,
                length: 4
            }
        );
        assert_eq!(
            refused(FILE, cut(0, 1)),
            SeriesError::Zero { key: "length" }
        );
        let two_clients = "run,who,y,p,q\na,x,s,1,1\na,z,s,1,1\n";
        assert_eq!(
            refused(two_clients, cut(1, 1)),
            SeriesError::Divided {
                line: 3,
                key: "client"
            }
        );
        let gap = "run,who,y,p,q\na,x,s,1,1\na,x,s,1,\n";
        let column = "q".to_owned();
        assert_eq!(
            refused(gap, cut(1, 1)),
            SeriesError::Missing { line: 3, column }
        );
    }
}
