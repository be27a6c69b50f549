//! `[data]`: which rows a client has, what a row means and how it is split, cleaned and scaled.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// The data of a job: where they are, and how their columns, lines or series are read.
///
/// A deployment reads the same section on every node; only `source` may then differ, as the node's
/// own file says where its rows lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// A data set that Commonweal knows by name, or a file or folder.
    #[serde(flatten)]
    pub source: DataSource,
    /// How the bytes are laid out; `None` follows from the name or from the file's ending.
    pub format: Option<Format>,
    /// What is learned from a row.
    pub task: Option<DataTask>,
    /// Column that holds the label (csv, series).
    pub label: Option<String>,
    /// Rows whose label is a number above this are class 1, others class 0.
    pub positive_above: Option<f64>,
    /// Class whose score orders the rows for ROC-AUC; `None` is the last class.
    pub positive: Option<String>,
    /// Classes in the order of their numbers; `None` lets `prepare` find them, in byte order.
    pub classes: Option<Vec<String>>,
    /// Column that names the client of a row.
    pub client: Option<String>,
    /// Column whose equal values stay on one side of the split (a person, a household).
    pub group: Option<String>,
    /// Share of each client's rows held out for testing, 0 ≤ f < 1; `None` is 0.2, or 0 where the
    /// data set has test rows of its own.
    pub test: Option<f64>,
    /// Share of each client's other rows held out for choosing, 0 ≤ f < 1.
    pub validation: f64,
    /// Whether the held-out rows keep each class's share.
    pub stratify: bool,
    /// Files beside `path`.
    #[serde(flatten)]
    pub files: Files,
    /// Columns by name: what differs from what `prepare` and the reader would take them for.
    pub columns: BTreeMap<String, Column>,
    /// Feature columns; `None` takes every column that has no other part.
    pub features: Option<Vec<String>>,
    /// Columns that are left out.
    pub drop: Vec<String>,
    /// What happens to a missing value where the column says nothing else.
    pub missing: Missing,
    /// Texts that stand for a missing value, besides the empty one.
    pub missing_values: Vec<String>,
    /// Character between the fields of a CSV line.
    pub delimiter: char,
    /// Where the means and deviations come from that numeric features are scaled by; `None` is
    /// `Global` for numeric columns and series, `None` for images.
    pub scale: Option<Scale>,
    /// Cutting of sensor series (format `series`).
    pub windows: Option<Windows>,
    /// Cutting of texts (format `text`, and LEAF's texts).
    pub text: Option<Text>,
}

/// Where the rows come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataSource {
    /// A data set known by name (`data.name`).
    Name(String),
    /// A file or a folder, relative to the job file (`data.path`).
    Path(String),
}

/// Further files of a data set that is not one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// Labels of `path`, for idx files.
    pub labels_path: Option<String>,
    /// Test rows, which are dealt to the clients as the training rows are.
    pub test_path: Option<String>,
    /// Labels of `test_path`, for idx files.
    pub test_labels_path: Option<String>,
}

/// Layout of the bytes of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Comma-separated values with a header line.
    Csv,
    /// The idx format of MNIST, plain or gzip.
    Idx,
    /// The binary version of CIFAR-10.
    Cifar,
    /// LEAF's JSON (users, user_data).
    Leaf,
    /// Plain text, a character a token.
    Text,
    /// CSV of sensor series: one line an instant, a column naming the series.
    Series,
}

/// What is learned from a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataTask {
    /// One class out of several.
    Classification,
    /// A number.
    Regression,
    /// The character that follows.
    NextToken,
}

/// One column, as the job declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Column {
    /// A number, scaled by `data.scale`.
    Numeric {
        /// Policy for this column; `None` is `data.missing`.
        missing: Option<Missing>,
        /// Texts that stand for a missing value in this column, besides `data.missing_values`.
        #[serde(default)]
        missing_values: Vec<String>,
    },
    /// One of several levels, one-hot encoded.
    Categorical {
        /// Levels in order; `None` lets `prepare` find them, in byte order.
        levels: Option<Vec<String>>,
        /// Whether the first level is encoded as all zeros.
        drop_first: bool,
        /// Policy for this column; `None` is `data.missing`.
        missing: Option<Missing>,
        /// Texts that stand for a missing value in this column, besides `data.missing_values`.
        #[serde(default)]
        missing_values: Vec<String>,
    },
    /// Left out.
    Drop,
}

/// What happens to a missing value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// It is an error that names the line and the column.
    Refuse,
    /// The row is left out.
    DropRow,
    /// The mean over all clients that `prepare` found (numeric); the most frequent level
    /// (categorical).
    Mean,
    /// Zero, before scaling (numeric); all zeros (categorical).
    Zero,
    /// As `Mean`, and one more feature that is 1 where the value is missing.
    Indicator,
}

/// Whose means and deviations scale the numeric features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Those over all clients, summed by the `prepare` task.
    Global,
    /// Each client's own.
    PerClient,
    /// None: the values as they are (images: 0 … 255 divided by 255).
    None,
}

/// How sensor series are cut into examples. The split into test and training comes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// Instants in a window, at least 1.
    pub length: u32,
    /// Instants from the start of one window to the start of the next, at least 1.
    pub stride: u32,
    /// Column that tells one series from another.
    pub series: String,
}

/// How a text is cut into examples. The split into test and training passages comes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Characters in an example, at least 1.
    pub sequence_length: u32,
    /// Characters from the start of one example to the start of the next, at least 1.
    pub stride: u32,
    /// Characters that are told apart, in the order of their numbers; `None` lets `prepare` find
    /// them. Others share one number.
    pub vocabulary: Option<String>,
    /// A pattern that marks a line as the start of a client's passage, with `{client}` where the
    /// name stands, such as `{client}.` for a play's speakers.
    pub client_pattern: Option<String>,
}
