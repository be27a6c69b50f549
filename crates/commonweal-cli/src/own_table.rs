//! A first job for a user's own table: columns recognised, a model that fits the label, a README.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use commonweal_data::table::{Inferred, LabelKind, Schema, infer, read};
use commonweal_disk::file;

use crate::command::new::Study;
use crate::failure::Failure;

/// Clients that rows are dealt to where no column names them.
const DEALT_CLIENTS: usize = 10;

/// What a first look at the table says.
struct Look {
    rows: usize,
    clients: Option<usize>,
    target: Target,
}

/// What is to be predicted.
enum Target {
    Value,
    Classes(Vec<String>),
}

/// The study `name` in `folder`, on the CSV file `table`.
///
/// # Errors
/// If the table cannot be read, lacks a column, or has too little to learn from.
pub(crate) fn study(
    name: &str,
    folder: &Path,
    table: &Path,
    label: &str,
    client: Option<&str>,
) -> Result<Study, Failure> {
    let bytes = file::read_bytes(table)?;
    let schema_failure = |source| Failure::Schema {
        path: table.to_path_buf(),
        source,
    };
    let inferred = infer(&bytes, label, client).map_err(schema_failure)?;
    let read = read(&bytes, &inferred.schema);
    let rows = read.map_err(|source| schema_failure(source.into()))?;
    let roster = rows.roster();
    let names = |column: Option<&commonweal_data::Categories>| {
        column.map(|column| {
            column
                .names()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        })
    };
    let look = Look {
        rows: rows.rows() as usize,
        clients: roster.clients().map(|clients| clients.names().len()),
        target: match names(roster.labels()) {
            Some(classes) => Target::Classes(classes),
            None => Target::Value,
        },
    };
    look.expect_enough(table, label, client)?;
    let path = relative(folder, table);
    Ok(Study {
        job: job(name, &path, &inferred, &look),
        readme: readme(name, table, &inferred, &look),
    })
}

impl Look {
    fn expect_enough(
        &self,
        table: &Path,
        label: &str,
        client: Option<&str>,
    ) -> Result<(), Failure> {
        let too_little = |reason: String| Failure::TooLittle {
            path: table.to_path_buf(),
            reason,
        };
        if self.rows < 10 {
            return Err(too_little(format!(
                "{} rows are too few to train and test on; 10 are the least",
                self.rows
            )));
        }
        if matches!(&self.target, Target::Classes(classes) if classes.len() < 2) {
            return Err(too_little(format!(
                "the label column {label:?} is the same in every row"
            )));
        }
        match (self.clients, client) {
            (Some(1), Some(column)) => Err(too_little(format!(
                "the client column {column:?} is the same in every row; leave --client out to deal \
                 the rows to simulated clients"
            ))),
            _ => Ok(()),
        }
    }

    fn clients(&self) -> usize {
        self.clients
            .unwrap_or((self.rows / 5).clamp(2, DEALT_CLIENTS))
    }

    fn model(&self) -> &'static str {
        match &self.target {
            Target::Value => "linear",
            Target::Classes(classes) if classes.len() == 2 => "logistic",
            Target::Classes(_) => "softmax",
        }
    }

    /// Steps that scaled columns stand: the squared loss of many of them is steeper than a logistic one.
    fn learning_rate(&self, columns: usize) -> f64 {
        match (&self.target, columns) {
            (Target::Value, _) => 0.01,
            (Target::Classes(_), 0..=100) => 0.1,
            (Target::Classes(_), _) => 0.02,
        }
    }

    fn metrics(&self) -> &'static str {
        match &self.target {
            Target::Value => r#"["loss", "mean_squared_error"]"#,
            Target::Classes(classes) if classes.len() == 2 => r#"["loss", "accuracy", "roc_auc"]"#,
            Target::Classes(_) => r#"["loss", "accuracy", "macro_f1"]"#,
        }
    }
}

fn job(name: &str, path: &str, inferred: &Inferred, look: &Look) -> String {
    let partition = match look.clients {
        Some(_) => {
            "partition = { kind = \"natural\" }    # one client a value of data.client".into()
        }
        None => format!(
            "clients = {}                          # the rows are dealt to them\n\
             partition = {{ kind = \"iid\" }}",
            look.clients()
        ),
    };
    let cohort = match look.clients() {
        many if many > 50 => "target = 50                           # clients a round",
        _ => "fraction = 1.0                        # all clients in every round",
    };
    let (data, columns) = split(&inferred.schema);
    let mut text = format!(
        "# Written by `commonweal new`. `commonweal job explain KEY` says what a key means.\n\
         name = \"{name}\"\n\
         rounds = 50\n\
         seed = 1\n\
         \n\
         [data]\n\
         path = {path}\n\
         test = 0.2                            # of each client's rows\n\
         {data}"
    );
    for (column, reason) in &inferred.dropped {
        let _ = writeln!(text, "# left out: {column:?}, which {reason}");
    }
    if inferred.keyless_rows > 0 {
        let _ = writeln!(
            text,
            "# rows without label or client are left out: {}",
            inferred.keyless_rows
        );
    }
    let _ = write!(
        text,
        "\n{columns}\n\
         [simulation]                          # a deployment ignores this section\n\
         {partition}\n\
         baselines = [\"local\", \"pooled\"]       # each client alone, all data in one place\n\
         seeds = 3                             # mean and deviation over seeds\n\
         \n\
         [model]\n\
         kind = \"{model}\"\n\
         \n\
         [training]\n\
         epochs = 2                            # a client's passes over its rows in a round\n\
         batch_size = 16\n\
         optimizer = {{ kind = \"sgd\", learning_rate = {rate} }}\n\
         \n\
         [cohort]\n\
         {cohort}\n\
         \n\
         [evaluation]\n\
         every = 5                             # rounds\n\
         metrics = {metrics}\n",
        model = look.model(),
        rate = look.learning_rate(inferred.schema.features.len()),
        metrics = look.metrics(),
    );
    text
}

/// The schema's keys of `[data]`, and its columns.
fn split(schema: &Schema) -> (String, String) {
    let text = schema.to_toml();
    match text.split_once("\n[data.columns]\n") {
        Some((data, columns)) => (data.to_owned(), format!("[data.columns]\n{columns}")),
        None => (text, String::new()),
    }
}

fn readme(name: &str, table: &Path, inferred: &Inferred, look: &Look) -> String {
    let label = inferred.schema.label.as_ref();
    let column = label.map_or("", |label| label.column.as_str());
    let what = match (&look.target, label.map(|label| &label.kind)) {
        (Target::Classes(classes), _) => format!("one of {} classes", classes.len()),
        (Target::Value, Some(LabelKind::Value)) => "a number".to_owned(),
        (Target::Value, _) => "a value".to_owned(),
    };
    let clients = match &inferred.schema.client {
        Some(column) => format!("{} clients, one a value of `{column}`", look.clients()),
        None => format!(
            "{} simulated clients, to whom the rows are dealt",
            look.clients()
        ),
    };
    format!(
        "# {name}\n\
         \n\
         Predicts `{column}` ({what}) from {features} columns of `{table}`: {rows} rows, {clients}.\n\
         \n\
         ```\n\
         commonweal data partition job.toml    # who has what, before training\n\
         commonweal simulate job.toml          # train, compare, write a report\n\
         ```\n\
         \n\
         `commonweal job explain KEY` says what a key of `job.toml` means. Columns that were taken for\n\
         something else than they are can be changed under `[data.columns]`; rows of one person in\n\
         several lines stay together with `group = \"COLUMN\"`.\n",
        features = inferred.schema.features.len(),
        table = table.display(),
        rows = look.rows,
    )
}

/// `table` as the job file in `folder` names it, quoted for TOML.
fn relative(folder: &Path, table: &Path) -> String {
    let simple = |path: &Path| {
        path.is_relative()
            && path
                .components()
                .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    };
    let path = if simple(folder) && table.is_relative() {
        let depth = folder
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .count();
        let mut path: PathBuf = std::iter::repeat_n("..", depth).collect();
        path.push(table);
        path
    } else {
        std::path::absolute(table).unwrap_or_else(|_| table.to_path_buf())
    };
    quoted(&path.display().to_string())
}

/// A TOML string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_beside_the_study_is_named_from_within_it() {
        assert_eq!(relative("study".as_ref(), "t.csv".as_ref()), "\"../t.csv\"");
        assert_eq!(
            relative("a/b".as_ref(), "d/t.csv".as_ref()),
            "\"../../d/t.csv\""
        );
        assert_eq!(
            relative("study".as_ref(), "/d/t.csv".as_ref()),
            "\"/d/t.csv\""
        );
    }

    #[test]
    fn a_path_with_quotes_stays_one_string() {
        assert_eq!(quoted("a\"b\\c"), r#""a\"b\\c""#);
    }
}
