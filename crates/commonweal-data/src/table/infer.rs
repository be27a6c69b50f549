//! What a CSV file says of its own columns, and the schema and `[data]` table that follow from it.

use std::collections::{BTreeSet, HashSet};

use commonweal_core::job::Missing;

use super::csv::{CsvError, Records};
use super::{Feature, FeatureKind, Label, LabelKind, Schema, SchemaError};
use crate::gzip::unpacked;

/// Texts that stand for a missing value in so many files that they are taken for one; the first four are
/// those that a job takes for one if it does not say.
const USUAL_MISSING: [&str; 9] = [
    "NA", "NaN", "nan", "?", "N/A", "n/a", "NULL", "null", "#N/A",
];

/// How many of [`USUAL_MISSING`] a job takes for missing by itself.
const MISSING_BY_DEFAULT: usize = 4;

/// Distinct texts of a column that are told apart; beyond, the column counts as free text.
const MAX_DISTINCT: usize = 1000;

/// Distinct whole numbers up to which a numeric label is a class and not a value.
const MAX_NUMERIC_CLASSES: usize = 20;

/// What the cells of each column have in common.
#[derive(Default)]
pub(super) struct Survey {
    columns: Vec<(String, ColumnFacts)>,
    rows: usize,
}

/// What the cells of one column have in common.
#[derive(Debug, Clone, Default)]
pub(super) struct ColumnFacts {
    present: usize,
    missing: usize,
    usual_missing: BTreeSet<String>,
    numbers: usize,
    whole: bool,
    counts_up: bool,
    last: Option<f64>,
    distinct: HashSet<Box<str>>,
}

impl Survey {
    pub(super) fn header(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Texts that stand for a missing value somewhere in the file, and those that do by default.
    fn missing_values(&self) -> Vec<String> {
        let occurs = |text: &str| {
            self.columns
                .iter()
                .any(|(_, facts)| facts.usual_missing.contains(text))
        };
        let of = USUAL_MISSING.iter().enumerate();
        of.filter(|(index, text)| *index < MISSING_BY_DEFAULT || occurs(text))
            .map(|(_, text)| (*text).to_owned())
            .collect()
    }

    pub(super) fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns
            .iter()
            .find(|(column, _)| column == name)
            .map(|(_, facts)| facts)
    }
}

impl ColumnFacts {
    fn new() -> Self {
        Self {
            whole: true,
            counts_up: true,
            ..Self::default()
        }
    }

    fn observe(&mut self, field: &str, missing_values: &[String]) {
        if field.is_empty() || missing_values.iter().any(|missing| missing == field) {
            self.missing += 1;
            return;
        }
        if USUAL_MISSING.contains(&field) {
            self.usual_missing.insert(field.to_owned());
            self.missing += 1;
            return;
        }
        self.present += 1;
        if let Some(number) = field
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
        {
            self.numbers += 1;
            self.whole &= number.fract() == 0.0;
            self.counts_up &= self.last.is_none_or(|last| number == last + 1.0);
            self.last = Some(number);
        }
        if self.distinct.len() <= MAX_DISTINCT && !self.distinct.contains(field) {
            self.distinct.insert(field.into());
        }
    }

    /// Whether every cell that is present is a finite number. An empty column is not.
    pub(super) fn is_numeric(&self) -> bool {
        self.present > 0 && self.numbers == self.present
    }

    /// Whether, as a label, it is a number to predict and not a class.
    pub(super) fn looks_like_a_value(&self) -> bool {
        self.is_numeric() && (!self.whole || self.distinct.len() > MAX_NUMERIC_CLASSES)
    }

    /// Why a model should not learn from the column, if it should not.
    fn reason_to_drop(&self, name: &str, rows: usize) -> Option<DropReason> {
        let name = name.to_ascii_lowercase();
        let named_id = name.is_empty()
            || matches!(
                name.as_str(),
                "id" | "index" | "rownames" | "row_names" | "uuid"
            )
            || name.ends_with("_id")
            || name.starts_with("unnamed");
        let all_distinct =
            self.distinct.len() == self.present || self.distinct.len() > MAX_DISTINCT;
        let numbers_rows = self.is_numeric() && self.whole && self.counts_up && rows > 1;
        if self.distinct.len() <= 1 && self.missing == 0 || self.present == 0 {
            Some(DropReason::Constant)
        } else if all_distinct && (named_id && self.whole || numbers_rows) {
            Some(DropReason::Identifier)
        } else if !self.is_numeric() && (self.distinct.len() * 2 > rows || all_distinct) {
            Some(DropReason::FreeText)
        } else {
            None
        }
    }
}

impl Survey {
    /// Reads every cell of the `wanted` columns of an unpacked file, and notes what each column has in
    /// common.
    pub(super) fn of(
        content: &[u8],
        delimiter: u8,
        missing_values: &[String],
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, CsvError> {
        let mut survey = Self::default();
        survey.add(content, delimiter, missing_values, wanted)?;
        Ok(survey)
    }

    /// Reads another file, which must have the columns of those before it.
    pub(super) fn add(
        &mut self,
        content: &[u8],
        delimiter: u8,
        missing_values: &[String],
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), CsvError> {
        let mut records = Records::new(content, delimiter)?;
        if self.columns.is_empty() {
            let column = |name: &String| (name.clone(), ColumnFacts::new());
            self.columns = records.header.iter().map(column).collect();
        }
        let expected = self.header();
        if expected != records.header {
            let found = records.header;
            return Err(CsvError::OtherHeader { expected, found });
        }
        let wanted: Vec<bool> = expected.iter().map(|name| wanted(name)).collect();
        let rows_before = self.rows;
        while let Some(line) = records.advance()? {
            self.rows += 1;
            for (index, (_, facts)) in self.columns.iter_mut().enumerate() {
                if wanted[index] {
                    facts.observe(records.field(index, line)?, missing_values);
                }
            }
        }
        if self.rows == rows_before {
            return Err(CsvError::NoRows);
        }
        Ok(())
    }
}

/// A schema that follows from a file, and what was left out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    /// The schema; it reads the file it came from.
    pub schema: Schema,
    /// Columns left out, with the reason.
    pub dropped: Vec<(String, DropReason)>,
    /// Rows that lack a label, a client or a group.
    pub keyless_rows: usize,
}

/// Why a column was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// It names or counts the rows.
    Identifier,
    /// It has one value, or none.
    Constant,
    /// Its texts hardly ever repeat.
    FreeText,
}

impl std::fmt::Display for DropReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Identifier => "names the rows",
            Self::Constant => "is the same in every row",
            Self::FreeText => "is free text",
        })
    }
}

/// Infers the schema of a file, plain or gzip: which columns are numbers, categories or identifiers,
/// and what is done about missing values.
///
/// A missing number becomes the mean over all clients, a missing category a feature of its own. A
/// category of two levels is one feature. The delimiter is the one of `,` `;` tab `|` that
/// the first line has most of.
///
/// # Errors
/// [`SchemaError`] if the file is no table or lacks `label` or `client`.
pub fn infer(bytes: &[u8], label: &str, client: Option<&str>) -> Result<Inferred, SchemaError> {
    let content = unpacked(bytes, u32::MAX as usize).map_err(CsvError::from)?;
    let delimiter = sniff_delimiter(&content);
    let survey = Survey::of(&content, delimiter, &[], |_| true)?;
    let expect = |key: &str, column: &str| {
        survey
            .column(column)
            .ok_or_else(|| SchemaError::NoSuchColumn {
                key: key.to_owned(),
                column: column.to_owned(),
                header: survey.header(),
            })
    };
    let missing_values = survey.missing_values();
    let label_facts = expect("--label", label)?;
    let client_facts = client
        .map(|column| expect("--client", column))
        .transpose()?;
    let (mut features, mut dropped) = (Vec::new(), Vec::new());
    for (name, facts) in &survey.columns {
        if name == label || Some(name.as_str()) == client {
            continue;
        }
        match facts.reason_to_drop(name, survey.rows) {
            Some(reason) => dropped.push((name.clone(), reason)),
            None => features.push(inferred_feature(name, facts, &missing_values)),
        }
    }
    if features.is_empty() {
        return Err(SchemaError::NoFeatures);
    }
    let keyless_rows = label_facts
        .missing
        .max(client_facts.map_or(0, |facts| facts.missing));
    let kind = if label_facts.looks_like_a_value() {
        LabelKind::Value
    } else {
        LabelKind::Class(None)
    };
    let schema = Schema {
        features,
        label: Some(Label {
            column: label.to_owned(),
            kind,
        }),
        client: client.map(str::to_owned),
        group: None,
        series: None,
        keyless: if keyless_rows > 0 {
            Missing::DropRow
        } else {
            Missing::Refuse
        },
        missing_values,
        delimiter: delimiter as char,
    };
    Ok(Inferred {
        schema,
        dropped,
        keyless_rows,
    })
}

fn sniff_delimiter(content: &[u8]) -> u8 {
    let first_line = content
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let count = |delimiter: &u8| first_line.iter().filter(|&byte| byte == delimiter).count();
    // `max_by_key` prefers the last of equals, so the comma stands last.
    [b'|', b'\t', b';', b',']
        .into_iter()
        .max_by_key(count)
        .unwrap_or(b',')
}

fn inferred_feature(name: &str, facts: &ColumnFacts, missing_values: &[String]) -> Feature {
    let numeric = facts.is_numeric();
    let kind = if numeric {
        FeatureKind::Numeric
    } else {
        FeatureKind::Categorical {
            levels: None,
            drop_first: facts.distinct.len() == 2,
        }
    };
    let missing = match (facts.missing > 0, numeric) {
        (false, _) => Missing::Refuse,
        (true, true) => Missing::Mean,
        (true, false) => Missing::Indicator,
    };
    Feature {
        name: name.to_owned(),
        kind,
        missing,
        missing_values: missing_values.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    const PATIENTS: &str = "patient_id,age,sex,ward,note,smoker,outcome\n\
        1,61,f,A,fell on ice,,sick\n\
        2,NA,m,B,headache,yes,well\n\
        3,45.5,f,C,,no,well\n\
        4,38,m,A,cough,no,sick\n";

    #[test]
    fn a_file_is_read_by_the_schema_that_was_inferred_from_it() {
        let found = infer(PATIENTS.as_bytes(), "outcome", None).expect("a table");
        let names: Vec<&str> = found
            .schema
            .features
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(names, ["age", "sex", "smoker"]);
        let reasons = [
            ("patient_id".to_owned(), DropReason::Identifier),
            ("ward".to_owned(), DropReason::FreeText),
            ("note".to_owned(), DropReason::FreeText),
        ];
        assert_eq!(found.dropped, reasons);
        assert_eq!(
            read(PATIENTS.as_bytes(), &found.schema).map(|table| table.rows()),
            Ok(4)
        );
    }

    #[test]
    fn the_toml_says_what_each_column_is() {
        let schema = infer(PATIENTS.as_bytes(), "outcome", Some("ward"))
            .expect("a table")
            .schema;
        let expected = "label = \"outcome\"\n\
            task = \"classification\"\n\
            client = \"ward\"\n\
            missing_values = [\"NA\", \"NaN\", \"nan\", \"?\"]\n\
            features = [\"age\", \"sex\", \"smoker\"]\n\
            \n[data.columns]\n\
            \"age\" = { kind = \"numeric\", missing = \"mean\" }\n\
            \"sex\" = { kind = \"categorical\", drop_first = true }\n\
            \"smoker\" = { kind = \"categorical\", drop_first = true, missing = \"indicator\" }\n";
        assert_eq!(schema.to_toml(), expected);
    }

    #[test]
    fn the_delimiter_is_the_one_that_the_first_line_has_most_of() {
        let schema = infer(b"a;b;y\n1;2;u\n2;3;v\n1;1;u\n", "y", None)
            .expect("a table")
            .schema;
        assert_eq!(schema.delimiter, ';');
    }

    #[test]
    fn a_label_of_many_numbers_is_a_value() {
        let rows: String = (0..30)
            .map(|row| format!("{}.5,{}\n", row % 7, row * row))
            .collect();
        let file = format!("x,y\n{rows}");
        let schema = infer(file.as_bytes(), "y", None).expect("a table").schema;
        assert_eq!(schema.label.map(|label| label.kind), Some(LabelKind::Value));
    }

    #[test]
    fn a_label_that_the_file_lacks_names_the_columns_it_has() {
        let error = infer(PATIENTS.as_bytes(), "target", None).expect_err("no such column");
        let text = error.to_string();
        assert!(
            text.contains("target") && text.contains("patient_id, age"),
            "{text}"
        );
    }
}
