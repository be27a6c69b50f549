//! `commonweal predict`: applies a run's model to the rows of a file, or to rows of its own data.

use std::path::{Path, PathBuf};

use clap::Args;
use commonweal_data::{Dataset, Features, Target};
use commonweal_disk::file;
use commonweal_sim::{FinishedRun, Predictions};
use csv::{Position, ReaderBuilder, StringRecord, Writer, WriterBuilder};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::row_numbers::RowNumbers;
use crate::{run_record, training};

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commonweal predict heart-1 --input new.csv --output predicted.csv
  commonweal predict digits-1 --rows 0-99
  commonweal predict digits-1 --input pixels.csv         # a line of 64 numbers an image
  commonweal predict keyboard-1 --input typed.csv        # a text a line, or a column `text`

A row of the input that lacks a value which the job drops rows for has an empty prediction.
The output has a column score_CLASS for each class, a probability.")]
pub struct Predict {
    /// A run folder, or the name of one such as heart-1
    pub run: PathBuf,
    /// A CSV file with the feature columns in its header; others are kept as they are
    #[arg(long, short, value_name = "CSV", required_unless_present = "rows")]
    pub input: Option<PathBuf>,
    /// Rows of the run's own data, by number from 0, such as 0-9,100
    #[arg(long, conflicts_with = "input")]
    pub rows: Option<RowNumbers>,
    /// Where the predictions go [default: stdout]
    #[arg(long, short, value_name = "CSV")]
    pub output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Predicted<'a> {
    rows: usize,
    path: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    csv: Option<&'a str>,
}

impl Predict {
    /// Predicts, and writes a CSV file or prints it.
    ///
    /// # Errors
    /// A run that does not exist or is not finished; a file that lacks a feature column or has a value
    /// that the model does not know; a row that does not exist.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let folder = match &self.input {
            Some(_) => run_record::finished(context, &self.run)?,
            None => run_record::finished_here(context, &self.run)?,
        };
        let environment = training::environment(context, PathBuf::new());
        let run = FinishedRun::open(folder.path(), environment)?;
        let (rows, text) = match (&self.input, &self.rows) {
            (Some(input), _) => table(&run, input)?,
            (None, rows) => own_rows(&run, rows.as_ref().map_or(&[][..], RowNumbers::numbers))?,
        };
        let console = &context.console;
        let path = self.output.as_deref();
        if let Some(path) = path {
            file::write_bytes(path, text.as_bytes())?;
            console.line(format_args!("{rows} rows in {}", path.display()));
        } else if !console.is_json() {
            console.raw(&text);
        }
        let csv = path.is_none().then_some(text.as_str());
        console.event("predicted", &Predicted { rows, path, csv });
        Ok(Exit::Success)
    }
}

/// The rows of a file with what is predicted of each.
fn table(run: &FinishedRun, input: &Path) -> Result<(usize, String), Failure> {
    let bytes = file::read_bytes(input)?;
    let mut predictions = run.predict(&bytes).map_err(|source| Failure::Rows {
        path: input.to_path_buf(),
        source: Box::new(source.into()),
    })?;
    if let Target::NextTokens(tokens) = run.input().example().target {
        predictions.scores = last_positions(&predictions.scores, predictions.lines.len(), tokens);
    }
    let unreadable = |error: csv::Error| Failure::Record {
        path: input.to_path_buf(),
        reason: error.to_string(),
    };
    let text = commonweal_data::gzip::unpacked(&bytes, u32::MAX as usize)
        .map_err(|error| unreadable(std::io::Error::other(error).into()))?;
    let delimiter = u8::try_from(run.input().delimiter()).unwrap_or(b',');
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(&*text);
    let mut writer = WriterBuilder::new()
        .delimiter(delimiter)
        .from_writer(Vec::new());
    let mut lines = predictions.lines.iter().enumerate().peekable();
    let mut record = StringRecord::new();
    let mut is_first = true;
    while reader.read_record(&mut record).map_err(unreadable)? {
        let line = record.position().map_or(0, Position::line);
        let mut cells: Vec<String> = record.iter().map(str::to_owned).collect();
        match lines.next_if(|&(_, &found)| u64::from(found) == line) {
            Some((row, _)) => {
                if is_first {
                    // A file of numbers without a header gets one.
                    let mut names: Vec<String> = (0..cells.len())
                        .map(|field| format!("value_{field}"))
                        .collect();
                    names.extend(header(&predictions));
                    writer.write_record(&names).map_err(unreadable)?;
                }
                cells.extend(scores(&predictions, row));
            }
            None if is_first => cells.extend(header(&predictions)),
            None => cells.resize(cells.len() + header(&predictions).len(), String::new()),
        }
        writer.write_record(&cells).map_err(unreadable)?;
        is_first = false;
    }
    Ok((predictions.lines.len(), finish(writer)))
}

/// Rows of the run's own data with their label and what is predicted of each.
fn own_rows(run: &FinishedRun, rows: &[u32]) -> Result<(usize, String), Failure> {
    let own = run
        .predict_rows(rows)
        .map_err(|error| Failure::OwnRows(Box::new(error)))?;
    let (data, mut predictions) = (own.data, own.predictions);
    if let Target::NextTokens(tokens) = data.shape().target {
        predictions.scores = last_positions(&predictions.scores, rows.len(), tokens);
    }
    let unwritable = |error: csv::Error| Failure::Record {
        path: "predictions".into(),
        reason: error.to_string(),
    };
    let mut writer = Writer::from_writer(Vec::new());
    let mut names = vec!["row".to_owned(), "label".to_owned()];
    names.extend(header(&predictions));
    writer.write_record(&names).map_err(unwritable)?;
    for (index, &row) in rows.iter().enumerate() {
        let mut cells = vec![row.to_string(), label(&data, &predictions, row)];
        cells.extend(scores(&predictions, index));
        writer.write_record(&cells).map_err(unwritable)?;
    }
    Ok((rows.len(), finish(writer)))
}

/// Of each row's positions the last: the character after the text.
fn last_positions(scores: &[f32], rows: usize, tokens: usize) -> Vec<f32> {
    let each = (scores.len() / rows.max(1)).max(tokens).max(1);
    let last = |row: &[f32]| row[row.len() - tokens..].to_vec();
    scores.chunks_exact(each).flat_map(last).collect()
}

fn label(data: &Dataset, predictions: &Predictions, row: u32) -> String {
    let mut labels = vec![0];
    match (data.shape().target, data.features()) {
        (Target::Value, _) => {
            let mut value = [0.0];
            data.fill_values(&[row], &mut value);
            return value[0].to_string();
        }
        (Target::NextTokens(_), Features::Tokens(tokens)) => labels.resize(tokens.length(), 0),
        _ => {}
    }
    data.fill_labels(&[row], &mut labels);
    labels
        .last()
        .map_or(String::new(), |&label| class(predictions, label as usize))
}

fn header(predictions: &Predictions) -> Vec<String> {
    let classes = predictions.names.iter().flatten();
    std::iter::once("prediction".to_owned())
        .chain(classes.map(|class| format!("score_{class}")))
        .collect()
}

/// The prediction of a row and its scores; of a value the value alone.
fn scores(predictions: &Predictions, row: usize) -> Vec<String> {
    let Some(classes) = &predictions.names else {
        return vec![predictions.scores[row].to_string()];
    };
    let scores = &predictions.scores[row * classes.len()..(row + 1) * classes.len()];
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let best = best.map_or(String::new(), |best| class(predictions, best));
    std::iter::once(best)
        .chain(scores.iter().map(f32::to_string))
        .collect()
}

fn class(predictions: &Predictions, class: usize) -> String {
    let names = predictions.names.as_ref();
    names
        .and_then(|names| names.get(class).cloned())
        .unwrap_or_default()
}

fn finish(writer: Writer<Vec<u8>>) -> String {
    // What is written to memory is there, and made of texts.
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
