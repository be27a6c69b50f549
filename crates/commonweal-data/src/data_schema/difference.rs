//! Where two schemas differ, told by column and kind: what a node may be told of another's data.

use std::fmt::{self, Display, Formatter};

use super::{Column, DataSchema, FeatureForm, Form, Goal, LabelForm};

/// The first column in which two schemas differ.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("column `{column}`: expected {expected}, found {found}")]
pub struct SchemaDifference {
    /// The column; `examples` or `target` where the data are no table.
    pub column: String,
    /// What it should be.
    pub expected: ColumnKind,
    /// What it is.
    pub found: ColumnKind,
}

/// What a column is. No value and no level.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnKind {
    /// Not there.
    Absent,
    /// A feature that is a number.
    Numeric,
    /// A feature that is one of several levels.
    Categorical,
    /// A label that is a class.
    Class,
    /// A label that is class 1 above a number that the job says.
    Above,
    /// A label that is a number to predict.
    Value,
    /// A feature in this place among all, from 1.
    Place(usize),
    /// Pixels in this shape, each a byte times the scale.
    Images {
        /// Channels, height, width.
        shape: Vec<usize>,
        /// What a byte is multiplied by.
        scale: f32,
    },
    /// Numbers in this shape.
    Floats {
        /// The last dimension tells features apart.
        shape: Vec<usize>,
    },
    /// Sequences of so many characters.
    Text {
        /// Characters a sequence.
        length: usize,
    },
    /// Columns of a table.
    Table,
}

impl Display for ColumnKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no such column"),
            Self::Numeric => f.write_str("a number"),
            Self::Categorical => f.write_str("a category"),
            Self::Class => f.write_str("a class to predict"),
            Self::Above => f.write_str("a number to predict whether it is above the job's"),
            Self::Value => f.write_str("a number to predict"),
            Self::Place(place) => write!(f, "feature number {place}"),
            Self::Images { shape, scale } => write!(f, "images of {shape:?} bytes times {scale}"),
            Self::Floats { shape } => write!(f, "numbers in the shape {shape:?}"),
            Self::Text { length } => write!(f, "texts of {length} characters"),
            Self::Table => f.write_str("a table"),
        }
    }
}

impl DataSchema {
    /// The first difference of `found` from `self`; none if they are equal.
    pub fn difference(&self, found: &Self) -> Option<SchemaDifference> {
        let differ = |column: &str, expected: ColumnKind, found: ColumnKind| {
            (expected != found).then(|| SchemaDifference {
                column: column.to_owned(),
                expected,
                found,
            })
        };
        match (&self.0, &found.0) {
            (
                Form::Table { columns, label },
                Form::Table {
                    columns: found_columns,
                    label: found_label,
                },
            ) => of_columns(columns, found_columns)
                .or_else(|| of_labels(label.as_ref(), found_label.as_ref())),
            (expected, found) => differ("examples", whole(expected), whole(found))
                .or_else(|| of_names(names(expected), names(found)))
                .or_else(|| differ("target", goal(expected), goal(found))),
        }
    }
}

fn of_columns(expected: &[Column], found: &[Column]) -> Option<SchemaDifference> {
    let place = |columns: &[Column], name: &str| columns.iter().position(|own| own.name == name);
    for (index, column) in expected.iter().enumerate() {
        let differ = |expected, found| {
            Some(SchemaDifference {
                column: column.name.clone(),
                expected,
                found,
            })
        };
        match place(found, &column.name) {
            None => return differ(kind(column), ColumnKind::Absent),
            Some(other) if found[other].kind != column.kind => {
                return differ(kind(column), kind(&found[other]));
            }
            Some(_) => {}
        }
        // A column too many moves those after it: it is the one to name.
        if let Some(unexpected) = found.get(index)
            && place(expected, &unexpected.name).is_none()
        {
            return Some(SchemaDifference {
                column: unexpected.name.clone(),
                expected: ColumnKind::Absent,
                found: kind(unexpected),
            });
        }
        if let Some(other) = place(found, &column.name)
            && other != index
        {
            return differ(ColumnKind::Place(index + 1), ColumnKind::Place(other + 1));
        }
    }
    found
        .get(expected.len())
        .map(|unexpected| SchemaDifference {
            column: unexpected.name.clone(),
            expected: ColumnKind::Absent,
            found: kind(unexpected),
        })
}

fn of_labels(
    expected: Option<&Column<LabelForm>>,
    found: Option<&Column<LabelForm>>,
) -> Option<SchemaDifference> {
    if expected == found {
        return None;
    }
    let kind = |label: Option<&Column<LabelForm>>, name: &str| {
        let own = label.filter(|label| label.name == name);
        own.map_or(ColumnKind::Absent, |label| match label.kind {
            LabelForm::Class => ColumnKind::Class,
            LabelForm::Above => ColumnKind::Above,
            LabelForm::Value => ColumnKind::Value,
        })
    };
    let column = expected.or(found)?.name.clone();
    Some(SchemaDifference {
        expected: kind(expected, &column),
        found: kind(found, &column),
        column,
    })
}

/// The first feature that is called otherwise.
fn of_names(expected: &[String], found: &[String]) -> Option<SchemaDifference> {
    let place = |names: &[String], name: &String| match names.iter().position(|own| own == name) {
        Some(place) => ColumnKind::Place(place + 1),
        None => ColumnKind::Absent,
    };
    let differ = |name: &String| SchemaDifference {
        column: name.clone(),
        expected: place(expected, name),
        found: place(found, name),
    };
    let longest = expected.len().max(found.len());
    let first = (0..longest).find(|&index| expected.get(index) != found.get(index))?;
    expected.get(first).or(found.get(first)).map(differ)
}

fn kind(column: &Column) -> ColumnKind {
    match column.kind {
        FeatureForm::Numeric => ColumnKind::Numeric,
        FeatureForm::Categorical => ColumnKind::Categorical,
    }
}

fn whole(form: &Form) -> ColumnKind {
    match form {
        Form::Table { .. } => ColumnKind::Table,
        Form::Images { shape, scale, .. } => ColumnKind::Images {
            shape: shape.clone(),
            scale: *scale,
        },
        Form::Floats { shape, .. } => ColumnKind::Floats {
            shape: shape.clone(),
        },
        Form::Text { length } => ColumnKind::Text { length: *length },
    }
}

fn names(form: &Form) -> &[String] {
    match form {
        Form::Floats { names, .. } => names,
        _ => &[],
    }
}

fn goal(form: &Form) -> ColumnKind {
    match form {
        Form::Images { target, .. } | Form::Floats { target, .. } => match target {
            Goal::Class => ColumnKind::Class,
            Goal::Value => ColumnKind::Value,
        },
        Form::Table { .. } | Form::Text { .. } => ColumnKind::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[(&str, FeatureForm)], label: (&str, LabelForm)) -> DataSchema {
        let column = |&(name, kind): &(&str, FeatureForm)| Column {
            name: name.to_owned(),
            kind,
        };
        let form = Form::Table {
            columns: columns.iter().map(column).collect(),
            label: Some(Column {
                name: label.0.to_owned(),
                kind: label.1,
            }),
        };
        DataSchema::try_from(form).expect("sound")
    }

    #[test]
    fn the_first_column_that_differs_is_named_with_both_kinds() {
        use FeatureForm::{Categorical as C, Numeric as N};
        let class = ("y", LabelForm::Class);
        let expected = table(&[("age", N), ("sex", C), ("chol", N)], class);
        for (columns, label, told) in [
            (
                &[("age", C), ("sex", C), ("chol", N)][..],
                class,
                "column `age`: expected a number, found a category",
            ),
            (
                &[("age", N), ("chol", N)],
                class,
                "column `sex`: expected a category, found no such column",
            ),
            (
                &[("age", N), ("id", N), ("sex", C), ("chol", N)],
                class,
                "column `id`: expected no such column, found a number",
            ),
            (
                &[("age", N), ("sex", C), ("chol", N), ("id", N)],
                class,
                "column `id`: expected no such column, found a number",
            ),
            (
                &[("sex", C), ("age", N), ("chol", N)],
                class,
                "column `age`: expected feature number 1, found feature number 2",
            ),
            (
                &[("age", N), ("sex", C), ("chol", N)],
                ("y", LabelForm::Value),
                "column `y`: expected a class to predict, found a number to predict",
            ),
            (
                &[("age", N), ("sex", C), ("chol", N)],
                ("ill", LabelForm::Class),
                "column `y`: expected a class to predict, found no such column",
            ),
        ] {
            let found = table(columns, label);
            let difference = expected.difference(&found).expect(told);
            assert_eq!(difference.to_string(), told);
        }
        assert_eq!(expected.difference(&expected.clone()), None);
    }

    #[test]
    fn examples_of_another_shape_name_or_target_are_told_apart() {
        let floats = |shape: &[usize], names: &[&str], target| {
            let names = names.iter().map(|&name| name.to_owned()).collect();
            let shape = shape.to_vec();
            let form = Form::Floats {
                shape,
                names,
                target,
            };
            DataSchema::try_from(form).expect("sound")
        };
        let expected = floats(&[9, 2], &["ax", "ay"], Goal::Class);
        let told = |found: DataSchema| expected.difference(&found).map(|one| one.to_string());
        assert_eq!(
            told(floats(&[8, 2], &["ax", "ay"], Goal::Class)).as_deref(),
            Some(
                "column `examples`: expected numbers in the shape [9, 2], found numbers in the shape [8, 2]"
            )
        );
        assert_eq!(
            told(floats(&[9, 2], &["ax", "az"], Goal::Class)).as_deref(),
            Some("column `ay`: expected feature number 2, found no such column")
        );
        assert_eq!(
            told(floats(&[9, 2], &["ax", "ay"], Goal::Value)).as_deref(),
            Some("column `target`: expected a class to predict, found a number to predict")
        );
        assert_eq!(told(expected.clone()), None);
    }
}
