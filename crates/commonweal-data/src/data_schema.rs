//! What a source is without any of its rows: enough for a server that has none to ask the same questions and
//! build the same model, and all that a node says of its data before a run.

mod difference;

use std::collections::BTreeSet;

use commonweal_core::Digest;
use commonweal_core::job::Data;
use serde::{Deserialize, Serialize};

pub use difference::{ColumnKind, SchemaDifference};

use crate::table::{FeatureKind, LabelKind, Schema, Table};
use crate::{
    Bytes, Categories, Dataset, Features, Floats, Roster, Source, Targets, Tokens, Vocabulary,
};

/// Names, kinds and shapes of a source, as it was read by a job's `[data]`. No value, no level, no class and no
/// number of rows: what the job declares of them is the job's to say, what the rows say is `prepare`'s to
/// ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct DataSchema(Form);

/// What a schema says. Sound within a [`DataSchema`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Form {
    /// Columns, in the order in which a model sees them.
    Table {
        columns: Vec<Column>,
        label: Option<Column<LabelForm>>,
    },
    /// Pixels of a byte each, valued `byte · scale`.
    Images {
        shape: Vec<usize>,
        scale: f32,
        target: Goal,
    },
    /// Numbers in this shape; a name for each feature, the last dimension, or none at all.
    Floats {
        shape: Vec<usize>,
        names: Vec<String>,
        target: Goal,
    },
    /// Sequences of characters.
    Text { length: usize },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Column<Kind = FeatureForm> {
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FeatureForm {
    Numeric,
    Categorical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LabelForm {
    Class,
    Above,
    Value,
}

/// What is predicted of examples that are no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Goal {
    Class,
    Value,
}

/// Why a peer's text is no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataSchemaError {
    /// No JSON, or JSON of another form.
    #[error("line {line}, column {column}: not a schema of data")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Nothing to learn from, or too much.
    #[error(
        "a schema of data has from 1 to {} values an example, of at most {} features",
        DataSchema::MAX_WIDTH,
        DataSchema::MAX_FEATURES
    )]
    Width,
    /// Two columns of one name.
    #[error("two columns are called `{column}`")]
    DuplicateColumn {
        /// The name.
        column: String,
    },
    /// Names that are not one a feature.
    #[error("expected {expected} names of features, found {found}")]
    Names {
        /// Features.
        expected: usize,
        /// Names.
        found: usize,
    },
    /// A scale that is no number.
    #[error("the scale of the pixels is not a finite number")]
    Scale,
}

impl DataSchema {
    /// Most values that an example of a peer's may have: columns of a table before encoding, pixels, characters.
    /// Models grow with it.
    pub const MAX_WIDTH: usize = 1 << 20;

    /// Most features, of each of which a question may be asked: columns, channels.
    pub const MAX_FEATURES: usize = 1 << 16;

    /// The schema of `source`.
    pub fn of(source: &Source) -> Self {
        Self(match source {
            Source::Table(table) => of_table(table.schema()),
            Source::Numbers(dataset) => of_numbers(dataset),
        })
    }

    /// Reads what [`Self::encode`] wrote, also a peer's.
    ///
    /// # Errors
    /// [`DataSchemaError`].
    pub fn parse(text: &[u8]) -> Result<Self, DataSchemaError> {
        let form: Form = serde_json::from_slice(text).map_err(|error| DataSchemaError::Json {
            line: error.line(),
            column: error.column(),
        })?;
        Self::try_from(form)
    }

    /// The canonical text, JSON: equal schemas have equal texts.
    pub fn encode(&self) -> String {
        // Unwrap safety: texts and finite numbers under text keys are JSON.
        #[expect(clippy::unwrap_used)]
        serde_json::to_string(&self.0).unwrap()
    }

    /// SHA-256 of the canonical text.
    pub fn digest(&self) -> Digest {
        Digest::of(self.encode().as_bytes())
    }

    /// Names of a table's columns, in the order in which a model sees them; empty for other data. As
    /// `data.features` they bring another file's columns into this order.
    pub fn columns(&self) -> Vec<String> {
        match &self.0 {
            Form::Table { columns, .. } => {
                columns.iter().map(|column| column.name.clone()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A source of no rows that `data`, the job's section, reads as it read the source of this schema: it
    /// makes the same questions necessary, and with their answers the same examples.
    pub fn blank(&self, data: &Data) -> Source {
        let labels = Categories::of([]);
        let numbers = |features: Features, target: Goal| {
            let roster = Roster::new(0);
            let dataset = match target {
                Goal::Class => Dataset::classified(features, roster.with_labels(labels.clone())),
                Goal::Value => Dataset::new(features, Targets::Values(Vec::new()), roster),
            };
            // Unwrap safety: all parts have no rows.
            #[expect(clippy::unwrap_used)]
            Source::Numbers(dataset.unwrap())
        };
        match &self.0 {
            Form::Table { columns, label } => {
                let is_numeric = |column: &Column| column.kind == FeatureForm::Numeric;
                let columns = columns
                    .iter()
                    .map(|column| (column.name.as_str(), is_numeric(column)));
                let label = label
                    .as_ref()
                    .map(|label| (label.name.as_str(), label.kind == LabelForm::Value));
                Table::blank(Schema::declared(data, columns, label)).into()
            }
            Form::Images {
                shape,
                scale,
                target,
            } => {
                // Unwrap safety: a schema's shape has a countable width above 0.
                #[expect(clippy::unwrap_used)]
                let bytes = Bytes::new(Vec::new(), shape.clone(), *scale).unwrap();
                numbers(Features::Bytes(bytes), *target)
            }
            Form::Floats {
                shape,
                names,
                target,
            } => {
                // Unwrap safety: as above.
                #[expect(clippy::unwrap_used)]
                let floats = Floats::new(Vec::new(), shape.clone()).unwrap();
                let floats = match names.is_empty() {
                    true => floats,
                    false => floats.with_names(names.clone()),
                };
                numbers(Features::Floats(floats), *target)
            }
            Form::Text { length } => Source::Numbers(no_text(*length)),
        }
    }
}

fn no_text(length: usize) -> Dataset {
    let sequences = || {
        let tokens = Tokens::new(Vec::new(), Vec::new(), length, Vocabulary::new([])?)?;
        Ok::<_, crate::FeaturesError>(Features::Tokens(tokens))
    };
    // Unwrap safety: a schema's length is above 0, and no token is out of range.
    #[expect(clippy::unwrap_used)]
    Dataset::new(sequences().unwrap(), Targets::NextTokens, Roster::new(0)).unwrap()
}

fn of_table(schema: &Schema) -> Form {
    let columns = schema.features.iter().map(|feature| Column {
        name: feature.name.clone(),
        kind: match feature.kind {
            FeatureKind::Numeric => FeatureForm::Numeric,
            FeatureKind::Categorical { .. } => FeatureForm::Categorical,
        },
    });
    let label = schema.label.as_ref().map(|label| Column {
        name: label.column.clone(),
        kind: match label.kind {
            LabelKind::Class(_) => LabelForm::Class,
            LabelKind::Above(_) => LabelForm::Above,
            LabelKind::Value => LabelForm::Value,
        },
    });
    Form::Table {
        columns: columns.collect(),
        label,
    }
}

fn of_numbers(dataset: &Dataset) -> Form {
    let target = match dataset.targets() {
        Targets::Values(_) => Goal::Value,
        Targets::Classes { .. } | Targets::NextTokens => Goal::Class,
    };
    match dataset.features() {
        Features::Bytes(bytes) => Form::Images {
            shape: bytes.shape().to_vec(),
            scale: bytes.affine(0).0,
            target,
        },
        Features::Floats(floats) => Form::Floats {
            shape: floats.shape().to_vec(),
            names: floats.names().to_vec(),
            target,
        },
        Features::Tokens(tokens) => Form::Text {
            length: tokens.length(),
        },
    }
}

impl TryFrom<Form> for DataSchema {
    type Error = DataSchemaError;

    fn try_from(form: Form) -> Result<Self, DataSchemaError> {
        match &form {
            Form::Table { columns, label } => {
                expect_width(&[columns.len()], columns.len())?;
                let label = label.as_ref().map(|label| &label.name);
                let mut seen = BTreeSet::new();
                for name in columns.iter().map(|column| &column.name).chain(label) {
                    if !seen.insert(name) {
                        let column = name.clone();
                        return Err(DataSchemaError::DuplicateColumn { column });
                    }
                }
            }
            Form::Images { shape, scale, .. } => {
                expect_width(shape, shape.first().copied().unwrap_or(1))?;
                if !scale.is_finite() {
                    return Err(DataSchemaError::Scale);
                }
            }
            Form::Floats { shape, names, .. } => {
                let (expected, found) = (shape.last().copied().unwrap_or(1), names.len());
                expect_width(shape, expected)?;
                if found != 0 && found != expected {
                    return Err(DataSchemaError::Names { expected, found });
                }
            }
            Form::Text { length } => expect_width(&[*length], 1)?,
        }
        Ok(Self(form))
    }
}

impl From<DataSchema> for Form {
    fn from(schema: DataSchema) -> Self {
        schema.0
    }
}

fn expect_width(shape: &[usize], features: usize) -> Result<(), DataSchemaError> {
    let width = shape
        .iter()
        .try_fold(1_usize, |width, &size| width.checked_mul(size));
    match width {
        Some(1..=DataSchema::MAX_WIDTH) if features <= DataSchema::MAX_FEATURES => Ok(()),
        _ => Err(DataSchemaError::Width),
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::job::Job;

    use super::*;
    use crate::Contents;
    use crate::archive::File;

    fn data(lines: &str) -> Data {
        let text = format!(
            "name = \"t\"\nrounds = 1\n[data]\npath = \"t.csv\"\n{lines}\n[model]\nkind = \"logistic\"\n"
        );
        Job::parse(&text).expect("a sound job").data
    }

    fn source(name: &str, content: &str, data: &Data) -> Source {
        let file = File {
            name: name.to_owned(),
            bytes: content.as_bytes().to_vec(),
        };
        let contents = Contents {
            main: vec![file],
            ..Contents::default()
        };
        Source::read(data, &contents).expect("sound")
    }

    const TABLE: &str = "a,b,where,who,y\n31337,canary-level,canary-client,canary-group,canary-class\n\
        271828,canary-other,canary-client,canary-group,canary-class-2\n";

    #[test]
    fn no_cell_is_in_a_schema_whatever_part_its_column_plays() {
        let leaf = r#"{"users":["canary-user"],"num_samples":[1],
            "user_data":{"canary-user":{"x":[[31337.5,271828]],"y":[7]}}}"#;
        let series = "a,b,where,who,y\n31337,271828,canary-1,canary-group,canary-class\n\
            31337,271828,canary-1,canary-group,canary-class\n";
        let text = "canary canary canary canary canary canary canary canary canary";
        for (name, content, lines) in [
            (
                "t.csv",
                TABLE,
                "label = \"y\"\nclient = \"where\"\ngroup = \"who\"",
            ),
            (
                "t.csv",
                TABLE,
                "label = \"a\"\ntask = \"regression\"\npositive_above = 300.5",
            ),
            (
                "t.csv",
                series,
                "label = \"y\"\nfeatures = [\"a\", \"b\"]\nformat = \"series\"\n\
                 windows = { series = \"where\", length = 2, stride = 1 }",
            ),
            ("t.json", leaf, ""),
            ("t.txt", text, "text = { sequence_length = 5, stride = 5 }"),
        ] {
            let schema = DataSchema::of(&source(name, content, &data(lines))).encode();
            for canary in ["31337", "271828", "canary", "300.5"] {
                assert!(!schema.contains(canary), "{canary} in {schema}");
            }
            assert_eq!(
                DataSchema::parse(schema.as_bytes()).map(|read| read.encode()),
                Ok(schema)
            );
        }
    }

    #[test]
    fn the_canonical_text_of_a_table_stays_as_it_is() {
        let data = data(
            "label = \"y\"\nclient = \"where\"\ngroup = \"who\"\nclasses = [\"canary-class\", \"canary-class-2\"]",
        );
        let schema = DataSchema::of(&source("t.csv", TABLE, &data));
        let expected = "{\"kind\":\"table\",\"columns\":[{\"name\":\"a\",\"kind\":\"numeric\"},\
            {\"name\":\"b\",\"kind\":\"categorical\"}],\"label\":{\"name\":\"y\",\"kind\":\"class\"}}";
        assert_eq!(schema.encode(), expected);
        assert_eq!(schema.digest(), Digest::of(expected.as_bytes()));
        assert_eq!(schema.columns(), ["a", "b"]);
    }

    #[test]
    fn a_blank_table_has_the_schema_that_it_is_made_of_and_what_the_job_declares() {
        let data = data(
            "label = \"y\"\nclient = \"where\"\nclasses = [\"canary-class\", \"canary-class-2\"]\n\
             missing_values = [\"?\"]\n\
             columns = { b = { kind = \"categorical\", levels = [\"canary-level\", \"canary-other\"] } }",
        );
        let full = source("t.csv", TABLE, &data);
        let blank = DataSchema::of(&full).blank(&data);
        assert_eq!(DataSchema::of(&blank), DataSchema::of(&full));
        let (Source::Table(full), Source::Table(blank)) = (full, blank) else {
            panic!("CSV is a table")
        };
        assert_eq!(*blank.schema(), full.schema().clone().without_keys());
        assert_eq!(blank.rows(), 0);
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        let refused = |text: &str| DataSchema::parse(text.as_bytes()).expect_err(text);
        let table = |columns: &str| {
            refused(&format!(
                "{{\"kind\":\"table\",\"columns\":[{columns}],\"label\":null}}"
            ))
        };
        assert_eq!(table(""), DataSchemaError::Width);
        let twice = "{\"name\":\"a\",\"kind\":\"numeric\"},{\"name\":\"a\",\"kind\":\"numeric\"}";
        assert!(matches!(
            table(twice),
            DataSchemaError::DuplicateColumn { .. }
        ));
        for shape in ["[0]", "[4294967296,4294967296]", "[1048577]", "[65537,1]"] {
            let images = format!(
                "{{\"kind\":\"images\",\"shape\":{shape},\"scale\":1.0,\"target\":\"class\"}}"
            );
            assert_eq!(refused(&images), DataSchemaError::Width);
        }
        let names = "{\"kind\":\"floats\",\"shape\":[2,3],\"names\":[\"a\"],\"target\":\"value\"}";
        assert_eq!(
            refused(names),
            DataSchemaError::Names {
                expected: 3,
                found: 1
            }
        );
        assert_eq!(
            refused("{\"kind\":\"text\",\"length\":0}"),
            DataSchemaError::Width
        );
        for text in [
            "",
            "{}",
            "{\"kind\":\"text\",\"length\":5,\"rows\":9}",
            "[1",
        ] {
            assert!(
                matches!(refused(text), DataSchemaError::Json { .. }),
                "{text}"
            );
        }
    }
}
