//! `history.csv`: one line a round, with a column for each metric of the job.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use crate::table::{Cell, TableError};

const FIXED: [&str; 11] = [
    "round",
    "outcome",
    "reason",
    "cohort",
    "reported",
    "refused",
    "train_loss",
    "bytes_down",
    "bytes_up",
    "seconds_train",
    "seconds_evaluate",
];

/// One round as it is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundRow {
    /// Round, from 1.
    pub round: u64,
    /// Whether there is a new model.
    pub outcome: Outcome,
    /// Why the round was abandoned; empty otherwise.
    pub reason: String,
    /// Clients that were asked.
    pub cohort: u64,
    /// Clients that were counted.
    pub reported: u64,
    /// Clients that were refused, late or lost.
    pub refused: u64,
    /// Mean training loss of the counted clients.
    pub train_loss: Option<f64>,
    /// Metrics of the evaluation after this round, by name; empty where none was due.
    pub metrics: BTreeMap<String, f64>,
    /// Bytes that went to clients.
    pub bytes_down: u64,
    /// Bytes that came from clients.
    pub bytes_up: u64,
    /// Training and aggregation.
    pub seconds_train: f64,
    /// Evaluation.
    pub seconds_evaluate: f64,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a new model.
    Committed,
    /// With the parameters unchanged.
    Abandoned,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Writes rounds, one line each; `metrics` are the columns after the fixed ones.
pub struct HistoryWriter<W: Write> {
    out: csv::Writer<W>,
    metrics: Vec<String>,
}

impl<W: Write> HistoryWriter<W> {
    /// Starts a file with its header.
    ///
    /// # Errors
    /// [`TableError`] if `out` refuses it.
    pub fn create(out: W, metrics: &[String]) -> Result<Self, TableError> {
        let mut writer = Self::append(out, metrics);
        let header = FIXED
            .iter()
            .copied()
            .chain(metrics.iter().map(String::as_str));
        writer.out.write_record(header)?;
        Ok(writer)
    }

    /// Continues a file that has its header and these metrics.
    pub fn append(out: W, metrics: &[String]) -> Self {
        Self {
            out: csv::Writer::from_writer(out),
            metrics: metrics.to_vec(),
        }
    }

    /// What is written to.
    pub fn get_ref(&self) -> &W {
        self.out.get_ref()
    }

    /// Writes one round and hands it to the operating system.
    ///
    /// # Errors
    /// [`TableError`] if that fails, such as on a full disk.
    pub fn write(&mut self, row: &RoundRow) -> Result<(), TableError> {
        let fixed = [
            row.round.to_string(),
            row.outcome.name().to_owned(),
            row.reason.clone(),
            row.cohort.to_string(),
            row.reported.to_string(),
            row.refused.to_string(),
            row.train_loss
                .map_or(String::new(), |loss| loss.to_string()),
            row.bytes_down.to_string(),
            row.bytes_up.to_string(),
            format!("{:.6}", row.seconds_train),
            format!("{:.6}", row.seconds_evaluate),
        ];
        let metrics = self
            .metrics
            .iter()
            .map(|name| row.metrics.get(name).map_or(String::new(), f64::to_string));
        self.out.write_record(fixed.into_iter().chain(metrics))?;
        self.out.flush().map_err(csv::Error::from)?;
        Ok(())
    }
}

/// Reads a `history.csv`, in the order of its lines.
///
/// # Errors
/// [`TableError`] with the line and column that cannot be read.
pub fn read_history(input: impl Read) -> Result<Vec<RoundRow>, TableError> {
    rows(input)?.collect()
}

/// Reads the rounds up to `round`. What comes after is not looked at: a program that died may have left
/// half a line there.
///
/// # Errors
/// [`TableError`] with the line and column that cannot be read.
pub fn read_history_until(input: impl Read, round: u64) -> Result<Vec<RoundRow>, TableError> {
    let mut found = Vec::new();
    for row in rows(input)? {
        let row = row?;
        let at = row.round;
        if at <= round {
            found.push(row);
        }
        if at >= round {
            break;
        }
    }
    Ok(found)
}

fn rows<R: Read>(
    input: R,
) -> Result<impl Iterator<Item = Result<RoundRow, TableError>>, TableError> {
    let mut reader = csv::Reader::from_reader(input);
    let header = reader.headers()?.clone();
    if !header
        .iter()
        .zip(FIXED)
        .all(|(found, expected)| found == expected)
        || header.len() < FIXED.len()
    {
        return Err(TableError::Header {
            expected: FIXED.join(","),
        });
    }
    let metrics: Vec<String> = header.iter().skip(FIXED.len()).map(str::to_owned).collect();
    Ok(reader
        .into_records()
        .map(move |record| parse(&record?, &metrics)))
}

fn parse(record: &csv::StringRecord, metrics: &[String]) -> Result<RoundRow, TableError> {
    let cell = |column: usize| Cell::of(record, column, FIXED[column]);
    let mut values = BTreeMap::new();
    for (offset, name) in metrics.iter().enumerate() {
        if let Some(value) = Cell::of(record, FIXED.len() + offset, name).optional()? {
            values.insert(name.clone(), value);
        }
    }
    Ok(RoundRow {
        round: cell(0).parse()?,
        outcome: match cell(1).text() {
            "committed" => Outcome::Committed,
            "abandoned" => Outcome::Abandoned,
            _ => return Err(cell(1).wrong()),
        },
        reason: cell(2).text().to_owned(),
        cohort: cell(3).parse()?,
        reported: cell(4).parse()?,
        refused: cell(5).parse()?,
        train_loss: cell(6).optional()?,
        bytes_down: cell(7).parse()?,
        bytes_up: cell(8).parse()?,
        seconds_train: cell(9).parse()?,
        seconds_evaluate: cell(10).parse()?,
        metrics: values,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_rounds() -> Vec<RoundRow> {
        let row = |round, outcome, reason: &str, metrics: &[(&str, f64)]| RoundRow {
            round,
            outcome,
            reason: reason.to_owned(),
            cohort: 10,
            reported: 8,
            refused: 2,
            train_loss: Some(0.1 + 0.2),
            metrics: metrics
                .iter()
                .map(|&(name, value)| (name.to_owned(), value))
                .collect(),
            bytes_down: 40,
            bytes_up: 32,
            seconds_train: 0.25,
            seconds_evaluate: 0.0,
        };
        vec![
            row(
                1,
                Outcome::Committed,
                "",
                &[("loss", 0.7), ("accuracy", 0.5)],
            ),
            row(
                2,
                Outcome::Abandoned,
                "8 of at least 9 reported, \"late\"",
                &[],
            ),
        ]
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut bytes = Vec::new();
        let metrics = ["loss".to_owned(), "accuracy".to_owned()];
        {
            let mut writer = HistoryWriter::create(&mut bytes, &metrics).unwrap();
            for row in &two_rounds() {
                writer.write(row).unwrap();
            }
        }
        assert_eq!(read_history(bytes.as_slice()).unwrap(), two_rounds());
    }

    #[test]
    fn half_a_line_after_the_round_that_counts_is_not_looked_at() {
        let mut bytes = Vec::new();
        {
            let mut writer = HistoryWriter::create(&mut bytes, &[]).unwrap();
            for row in &two_rounds() {
                writer.write(row).unwrap();
            }
        }
        let metrics_left_out = |row: RoundRow| RoundRow {
            metrics: BTreeMap::new(),
            ..row
        };
        let written: Vec<_> = two_rounds().into_iter().map(metrics_left_out).collect();
        for half in [&b"3,comm"[..], b"3", b"\xff\xfe", b"3,committed,\"un"] {
            let torn = [bytes.as_slice(), half].concat();
            assert_eq!(read_history_until(torn.as_slice(), 2).unwrap(), written);
            assert_eq!(
                read_history_until(torn.as_slice(), 1).unwrap(),
                written[..1]
            );
            assert!(read_history(torn.as_slice()).is_err());
        }
    }

    #[test]
    fn a_broken_cell_is_named_by_line_and_column() {
        let header = FIXED.join(",");
        let text = format!("{header}\n1,committed,,x,8,2,,0,0,0,0\n");
        let error = read_history(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "line 2, column \"cohort\": \"x\" cannot be read");
        assert!(read_history("a,b\n1,2\n".as_bytes()).is_err());
    }
}
