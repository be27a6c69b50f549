//! The data of a run in memory, ready for training; immutable, and shared by reference between threads.

use std::sync::Arc;

use crate::{Bytes, ExampleShape, Floats, Input, Roster, Target, Tokens};

/// Features and targets by row number, and what is known of each row. A client is a list of row numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    features: Features,
    targets: Targets,
    roster: Roster,
}

/// The features of all rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Features {
    /// Pixels, one byte each; they become `f32` when a batch is filled.
    Bytes(Bytes),
    /// Real values.
    Floats(Floats),
    /// Windows into one text.
    Tokens(Tokens),
}

/// The targets of all rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Class numbers below `classes`.
    Classes {
        /// One class number a row.
        labels: Arc<[u32]>,
        /// Number of classes, whether all occur or not.
        classes: u32,
    },
    /// One value a row.
    Values(Vec<f32>),
    /// The token after each token of the row; only with [`Features::Tokens`].
    NextTokens,
}

/// Parts of a data set that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatasetError {
    /// Features, targets and roster count rows differently.
    #[error("the {part} have {found} rows where the features have {expected}")]
    Rows {
        /// Which part differs.
        part: &'static str,
        /// Rows of the features.
        expected: usize,
        /// Rows of the part.
        found: usize,
    },
    /// A class number is too large.
    #[error("row {row} has a label that is not below the number of classes, {classes}")]
    LabelOutOfRange {
        /// First such row, from 0.
        row: usize,
        /// Number of classes.
        classes: u32,
    },
    /// A target value is NaN or infinite.
    #[error("row {row} has a target that is not a finite number")]
    NonFiniteTarget {
        /// First such row, from 0.
        row: usize,
    },
    /// Next tokens were asked of features that are not tokens.
    #[error("next tokens are a target of token features only")]
    NotTokens,
    /// The training and the test file describe different examples.
    #[error("the test file's examples have another shape than the training file's")]
    TestShape,
    /// More rows than a row number can count.
    #[error("{found} rows are more than a data set can hold, {}", u32::MAX)]
    TooManyRows {
        /// Rows found.
        found: usize,
    },
}

impl Dataset {
    /// Joins the parts of a data set.
    ///
    /// # Errors
    /// [`DatasetError`] if the parts do not have one entry a row, or a target is out of range.
    pub fn new(features: Features, targets: Targets, roster: Roster) -> Result<Self, DatasetError> {
        let rows = features.rows();
        expect_rows("roster's facts", rows, roster.rows() as usize)?;
        match &targets {
            Targets::Classes { labels, classes } => {
                expect_rows("labels", rows, labels.len())?;
                if let Some(row) = labels.iter().position(|label| label >= classes) {
                    return Err(DatasetError::LabelOutOfRange {
                        row,
                        classes: *classes,
                    });
                }
            }
            Targets::Values(values) => {
                expect_rows("target values", rows, values.len())?;
                if let Some(row) = values.iter().position(|value| !value.is_finite()) {
                    return Err(DatasetError::NonFiniteTarget { row });
                }
            }
            Targets::NextTokens => {
                if !matches!(features, Features::Tokens(_)) {
                    return Err(DatasetError::NotTokens);
                }
            }
        }
        Ok(Self {
            features,
            targets,
            roster,
        })
    }

    /// A data set whose targets are the roster's labels.
    ///
    /// # Errors
    /// [`DatasetError::Rows`] if the roster has no labels or another number of rows.
    pub fn classified(features: Features, roster: Roster) -> Result<Self, DatasetError> {
        let labels = roster.labels().ok_or(DatasetError::Rows {
            part: "labels",
            expected: features.rows(),
            found: 0,
        })?;
        let targets = Targets::Classes {
            labels: labels.shared_codes(),
            classes: labels.names().len() as u32,
        };
        Self::new(features, targets, roster)
    }

    /// The rows of `self` for training, then those of `test`, marked as the data set's own test file.
    ///
    /// # Errors
    /// [`DatasetError::TestShape`] if their examples differ in shape, [`DatasetError::TooManyRows`].
    pub fn with_own_test(self, test: Self) -> Result<Self, DatasetError> {
        let total = self.features.rows() + test.features.rows();
        rows_u32(total)?;
        let roster = self.roster.then_test(&test.roster);
        let features = match (self.features, test.features) {
            (Features::Bytes(train), Features::Bytes(test)) => {
                train.then(test).map(Features::Bytes)
            }
            (Features::Floats(train), Features::Floats(test)) => {
                train.then(test).map(Features::Floats)
            }
            (Features::Tokens(train), Features::Tokens(test)) => {
                train.then(test).map(Features::Tokens)
            }
            _ => None,
        }
        .ok_or(DatasetError::TestShape)?;
        let targets = match (self.targets, test.targets) {
            (Targets::Classes { .. }, Targets::Classes { .. }) => {
                return Self::classified(features, roster);
            }
            (Targets::Values(mut train), Targets::Values(test)) => {
                train.extend(test);
                Targets::Values(train)
            }
            (Targets::NextTokens, Targets::NextTokens) => Targets::NextTokens,
            _ => return Err(DatasetError::TestShape),
        };
        Self::new(features, targets, roster)
    }

    /// These rows only, in this order, numbered by their place in it.
    ///
    /// # Panics
    /// If a row does not exist.
    #[must_use]
    pub fn select(&self, rows: &[u32]) -> Self {
        let features = match &self.features {
            Features::Bytes(bytes) => Features::Bytes(bytes.select(rows)),
            Features::Floats(floats) => Features::Floats(floats.select(rows)),
            Features::Tokens(tokens) => Features::Tokens(tokens.select(rows)),
        };
        let targets = match &self.targets {
            Targets::Classes { labels, classes } => Targets::Classes {
                labels: rows.iter().map(|&row| labels[row as usize]).collect(),
                classes: *classes,
            },
            Targets::Values(values) => {
                Targets::Values(rows.iter().map(|&row| values[row as usize]).collect())
            }
            Targets::NextTokens => Targets::NextTokens,
        };
        Self {
            features,
            targets,
            roster: self.roster.select(rows),
        }
    }

    /// Number of rows, those of an own test file included.
    pub fn rows(&self) -> u32 {
        self.roster.rows()
    }

    /// The shape of one example.
    pub fn shape(&self) -> ExampleShape {
        let input = match &self.features {
            Features::Bytes(bytes) => Input::Values(bytes.shape().to_vec()),
            Features::Floats(floats) => Input::Values(floats.shape().to_vec()),
            Features::Tokens(tokens) => Input::Tokens {
                length: tokens.length(),
                vocabulary: tokens.vocabulary().len(),
            },
        };
        let target = match (&self.targets, &self.features) {
            (Targets::Classes { classes, .. }, _) => Target::Classes(*classes as usize),
            (Targets::NextTokens, Features::Tokens(tokens)) => {
                Target::NextTokens(tokens.vocabulary().len())
            }
            _ => Target::Value,
        };
        ExampleShape { input, target }
    }

    /// The features of all rows.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// The targets of all rows.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// What is known of each row.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The same targets and rows with other features, made from these.
    ///
    /// # Errors
    /// [`DatasetError::Rows`] if `change` alters the number of rows.
    pub fn map_features(
        self,
        change: impl FnOnce(Features) -> Features,
    ) -> Result<Self, DatasetError> {
        Self::new(change(self.features), self.targets, self.roster)
    }

    /// Class `i` called `names[i]`; unchanged if the target is no class.
    ///
    /// # Errors
    /// The number of the first row whose class number has no name.
    pub fn with_class_names(self, names: &[String]) -> Result<Self, usize> {
        let Some(labels) = self.roster.labels() else {
            return Ok(self);
        };
        let labels = labels.renamed(names)?;
        let Targets::Classes { labels: codes, .. } = self.targets else {
            return Ok(self);
        };
        let targets = Targets::Classes {
            labels: codes,
            classes: names.len() as u32,
        };
        Ok(Self {
            targets,
            roster: self.roster.with_labels(labels),
            ..self
        })
    }

    /// The same rows with the classes `names`, in that order; unchanged if the target is no class.
    /// A row that is not used may have a class that is not among them, and then is of the first.
    ///
    /// # Errors
    /// The number of the first row that is used and whose class is not among them.
    pub(crate) fn with_classes(
        mut self,
        names: &[String],
        is_used: impl Fn(usize) -> bool,
    ) -> Result<Self, usize> {
        let Some(labels) = self.roster.labels() else {
            return Ok(self);
        };
        let labels = labels.under_where(names, is_used)?;
        self.targets = Targets::Classes {
            labels: labels.shared_codes(),
            classes: labels.names().len() as u32,
        };
        self.roster = self.roster.with_labels(labels);
        Ok(self)
    }

    /// Writes the features of `rows`, one row after the other, scaled.
    ///
    /// # Panics
    /// If `out` is not `rows.len()` times the width of the example, a row does not exist, or the
    /// features are tokens.
    pub fn fill(&self, rows: &[u32], out: &mut [f32]) {
        match &self.features {
            Features::Bytes(bytes) => bytes.fill(rows, out),
            Features::Floats(floats) => floats.fill(rows, out),
            Features::Tokens(_) => panic!("token features are filled by `fill_tokens`"),
        }
    }

    /// Writes the tokens of `rows`, one row after the other.
    ///
    /// # Panics
    /// If `out` is not `rows.len()` times the length of the example, a row does not exist, or the
    /// features are not tokens.
    pub fn fill_tokens(&self, rows: &[u32], out: &mut [u32]) {
        match &self.features {
            Features::Tokens(tokens) => tokens.fill(rows, 0, out),
            _ => panic!("only token features have tokens"),
        }
    }

    /// Writes the class of each of `rows`, or the token after each of their tokens.
    ///
    /// # Panics
    /// If `out` has another length than one a row (one a token for [`Target::NextTokens`]), a row
    /// does not exist, or the targets are values.
    pub fn fill_labels(&self, rows: &[u32], out: &mut [u32]) {
        match (&self.targets, &self.features) {
            (Targets::Classes { labels, .. }, _) => {
                assert_eq!(out.len(), rows.len(), "one label a row");
                for (label, &row) in out.iter_mut().zip(rows) {
                    *label = labels[row as usize];
                }
            }
            (Targets::NextTokens, Features::Tokens(tokens)) => tokens.fill(rows, 1, out),
            _ => panic!("targets that are values are filled by `fill_values`"),
        }
    }

    /// Writes the target value of each of `rows`.
    ///
    /// # Panics
    /// If `out` has another length, a row does not exist, or the targets are classes.
    pub fn fill_values(&self, rows: &[u32], out: &mut [f32]) {
        let Targets::Values(values) = &self.targets else {
            panic!("targets that are classes are filled by `fill_labels`")
        };
        assert_eq!(out.len(), rows.len(), "one value a row");
        for (value, &row) in out.iter_mut().zip(rows) {
            *value = values[row as usize];
        }
    }
}

impl Features {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.rows(),
            Self::Floats(floats) => floats.rows(),
            Self::Tokens(tokens) => tokens.rows(),
        }
    }
}

/// `rows` as a row count.
///
/// # Errors
/// [`DatasetError::TooManyRows`] if a `u32` cannot count them.
pub(crate) fn rows_u32(rows: usize) -> Result<u32, DatasetError> {
    u32::try_from(rows).map_err(|_| DatasetError::TooManyRows { found: rows })
}

fn expect_rows(part: &'static str, expected: usize, found: usize) -> Result<(), DatasetError> {
    if expected == found {
        Ok(())
    } else {
        Err(DatasetError::Rows {
            part,
            expected,
            found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Categories;

    fn pixels(rows: usize) -> Features {
        let values = (0..rows as u8 * 2).collect();
        Features::Bytes(Bytes::new(values, vec![1, 1, 2], 0.5).expect("whole rows"))
    }

    fn labelled(names: &[&str]) -> Dataset {
        let labels = Categories::of(names.iter().copied());
        let roster = Roster::new(names.len() as u32).with_labels(labels);
        Dataset::classified(pixels(names.len()), roster).expect("parts fit")
    }

    #[test]
    fn a_batch_holds_the_asked_rows_in_the_asked_order() {
        let data = labelled(&["a", "b", "a"]);
        let (mut batch, mut labels) = ([0.0; 4], [9; 2]);
        data.fill(&[2, 0], &mut batch);
        data.fill_labels(&[2, 1], &mut labels);
        assert_eq!(batch, [2.0, 2.5, 0.0, 0.5]);
        assert_eq!(labels, [0, 1]);
    }

    #[test]
    fn an_own_test_file_is_appended_and_marked() {
        let both = labelled(&["a", "b"]).with_own_test(labelled(&["b", "a", "a"]));
        let both = both.expect("same shape");
        assert_eq!(both.rows(), 5);
        assert_eq!(both.roster().own_test(), [2, 3, 4]);
    }

    #[test]
    fn a_label_beyond_the_classes_is_refused_by_row() {
        let targets = Targets::Classes {
            labels: [0, 2].into(),
            classes: 2,
        };
        assert_eq!(
            Dataset::new(pixels(2), targets, Roster::new(2)),
            Err(DatasetError::LabelOutOfRange { row: 1, classes: 2 })
        );
    }

    #[test]
    fn a_target_that_is_not_a_number_is_refused_by_row() {
        let targets = Targets::Values(vec![0.0, f32::NAN]);
        assert_eq!(
            Dataset::new(pixels(2), targets, Roster::new(2)),
            Err(DatasetError::NonFiniteTarget { row: 1 })
        );
    }
}
