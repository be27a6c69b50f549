//! Keys of `[data]`.

use super::{ANY_NUMBER, Key, Literal, SHARE, TEXTS, Type, count, key};

const MISSING: Type = Type::Word(&["refuse", "drop_row", "mean", "zero", "indicator"]);
const ANY_TEXTS: Type = Type::List {
    of: &Type::AnyText,
    least: 0,
};
const CATEGORICAL: &[&str] = &["categorical"];
const KEPT: &[&str] = &["numeric", "categorical"];

pub(super) const KEYS: &[Key] = &[
    key(
        "data.name",
        Type::Text,
        "A data set that Commonweal knows; `commonweal data list` prints them. Those that are not \
         in the program lie in the folder that `COMMONWEAL_DATA` names.",
    )
    .open("`path` is needed"),
    key(
        "data.path",
        Type::Text,
        "A file or a folder, relative to the job file, instead of `name`. Of a folder all files of the \
         format are read, or those in its folders `train` and `test`. Tables need one header; each file \
         is a client, unless `client` names a column.",
    )
    .open("`name` is needed"),
    key(
        "data.format",
        Type::Word(&["csv", "idx", "cifar", "leaf", "text", "series"]),
        "How the bytes are laid out: CSV with a header line; MNIST's idx (also .gz); CIFAR's binary \
         version; LEAF's JSON; plain text; CSV of sensor series, one line an instant.",
    )
    .open("follows from `name`, or from the file's ending"),
    key(
        "data.task",
        Type::Word(&["classification", "regression", "next_token"]),
        "What is learned of a row: its class, a number, or the character that follows.",
    )
    .open("`next_token` for texts, `regression` with the model `linear`, else `classification`"),
    key("data.label", Type::Text, "Column that holds the label.")
        .open("follows from `name`; with a `path` to a CSV it is needed"),
    key(
        "data.positive_above",
        ANY_NUMBER,
        "Makes two classes of a numeric label column: 1 where it is above this number, else 0.",
    )
    .open("the label column's values are the classes"),
    key(
        "data.positive",
        Type::Text,
        "The class whose score orders rows for `roc_auc`; the other one is numbered 0. For two \
         classes only.",
    )
    .open("the last class"),
    key("data.classes", Type::List { of: &Type::Text, least: 2 }, "The classes, in the order of \
         their numbers. A label that is none of them is an error.")
        .unit("class names")
        .open("found by the `prepare` task, in byte order"),
    key(
        "data.client",
        Type::Text,
        "Column that names the client of a row; no feature. `simulation.partition` `natural` deals \
         by it.",
    )
    .open("follows from `name`; else none"),
    key(
        "data.group",
        Type::Text,
        "Column whose equal values (a person, a household) all go to test, to validation or to \
         training; no feature.",
    )
    .open("each row by itself (each series, each passage)"),
    key(
        "data.test",
        SHARE,
        "Share of each client's rows held out for testing. Series and texts are split by series and \
         passage before windows are cut, LEAF's texts by runs of windows, without those between two \
         runs. 0 with a data set that has test rows of its own.",
    )
    .open("0.2; 0 where the data set has test rows of its own"),
    key(
        "data.validation",
        SHARE,
        "Share of each client's other rows held out, like those for testing: nobody trains on them, \
         and the `local` baseline chooses the best client by them. With 0 every client alone chooses \
         by a tenth of its rows, and then trains on all of them.",
    )
    .or(Literal::Number(0.0)),
    key("data.stratify", Type::Boolean, "Whether held-out rows keep each class's share.")
        .or(Literal::Boolean(true)),
    key("data.labels_path", Type::Text, "Labels of `path`, for idx files.")
        .open("the file beside it with `labels-idx1` for `images-idx3`"),
    key(
        "data.test_path",
        Type::Text,
        "Test rows in a file of their own; they are dealt to the clients like the training rows.",
    )
    .open("none"),
    key("data.test_labels_path", Type::Text, "Labels of `test_path`, for idx files.")
        .open("as `labels_path`"),
    key(
        "data.columns",
        Type::Map(&Type::Table),
        "Columns by name, where they are not what they look like: `age = \"numeric\"`, \
         `ward = { kind = \"categorical\", levels = [\"A\", \"B\"] }`, `id = \"drop\"`.",
    )
    .or(Literal::Empty),
    key(
        "data.columns.*.kind",
        Type::Word(&["numeric", "categorical", "drop"]),
        "A number; one of several levels, one-hot encoded; or left out.",
    ),
    key(
        "data.columns.*.levels",
        Type::List { of: &Type::Text, least: 1 },
        "The levels, in the order of their features. Another level is an error.",
    )
    .with(CATEGORICAL)
    .open("found by the `prepare` task, in byte order"),
    key(
        "data.columns.*.drop_first",
        Type::Boolean,
        "Whether the first level has no feature of its own.",
    )
    .with(CATEGORICAL)
    .or(Literal::Boolean(false)),
    key("data.columns.*.missing", MISSING, "As `data.missing`, for this column.")
        .with(KEPT)
        .open("`data.missing` holds"),
    key(
        "data.columns.*.missing_values",
        ANY_TEXTS,
        "Texts that stand for a missing value in this column, besides `data.missing_values`.",
    )
    .with(KEPT)
    .or(Literal::Texts(&[])),
    key(
        "data.features",
        Type::List { of: &Type::Text, least: 1 },
        "The feature columns. Others are left out.",
    )
    .unit("column names")
    .open("every column but label, client, group and those in `drop`"),
    key("data.drop", TEXTS, "Columns that are left out.")
        .unit("column names")
        .or(Literal::Texts(&[])),
    key(
        "data.missing",
        MISSING,
        "What happens to a missing value. `refuse`: an error names line and column. `drop_row`: the \
         row is left out. `mean`: the mean over all clients; for a category, the most frequent \
         level. `zero`: 0 before scaling; for a category, no level. `indicator`: as `mean`, and one \
         more feature that is 1.",
    )
    .or(Literal::Text("refuse")),
    key(
        "data.missing_values",
        ANY_TEXTS,
        "Texts that stand for a missing value, besides the empty one.",
    )
    .or(Literal::Texts(&["NA", "NaN", "nan", "?"])),
    key("data.delimiter", Type::Character, "Character between the fields of a CSV line.")
        .or(Literal::Text(",")),
    key(
        "data.scale",
        Type::Word(&["global", "per_client", "none"]),
        "Whose means and deviations numeric features are scaled by: those over all clients, which \
         the `prepare` task sums; each client's own; or none.",
    )
    .open("`global` for numeric columns and series; `none` for images, which become 0 … 1"),
    key("data.windows", Type::Table, "Cutting of sensor series into examples (format `series`).")
        .open("follows from `name`"),
    key("data.windows.length", count(1, 1_000_000), "Length of a window.").unit("instants"),
    key(
        "data.windows.stride",
        count(1, 1_000_000),
        "From the start of one window to the start of the next.",
    )
    .unit("instants")
    .open("`length`: windows do not overlap"),
    key("data.windows.series", Type::Text, "Column that tells one series from another.")
        .or(Literal::Text("series")),
    key("data.text", Type::Table, "Cutting of texts into examples (format `text`).")
        .open("follows from `name`"),
    key(
        "data.text.sequence_length",
        count(1, 100_000),
        "Characters in an example; each is asked for the one that follows.",
    )
    .unit("characters")
    .or(Literal::Integer(80)),
    key(
        "data.text.stride",
        count(1, 1_000_000),
        "From the start of one example to the start of the next.",
    )
    .unit("characters")
    .open("`sequence_length`: examples do not overlap"),
    key(
        "data.text.vocabulary",
        Type::Text,
        "The characters that are told apart, in the order of their numbers. All others share one \
         number.",
    )
    .unit("characters")
    .open("found by the `prepare` task, in the order of code points"),
    key(
        "data.text.client_pattern",
        Type::Text,
        "A line of this form begins a passage of a client, whose name stands where the pattern has \
         `{client}`: `{client}.` for the speakers of a play.",
    )
    .open("each file is one client"),
];
