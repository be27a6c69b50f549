//! A run's rounds as they are stored, as a table, and as what they say of where the run stands.

use commonweal_core::job::Job;
use commonweal_disk::history::{HistoryWriter, RoundRow, read_history};
use commonweal_disk::table::TableError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One round with the model after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The round's line of `history.csv`: text, so that its numbers stay the same to the last digit.
    line: String,
    /// The model's digest, as a simulation tells it.
    pub(super) model: String,
}

/// Where a run stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Progress {
    /// Rounds that are over.
    pub(super) round: u64,
    /// Nodes that take part, once that is fixed.
    pub(super) nodes: Option<u64>,
    /// The last value of the metric by which the job is judged.
    pub(super) metric: Option<f64>,
    /// The model's digest.
    pub(super) model: Option<String>,
}

impl Entry {
    /// Of a round of `job`.
    ///
    /// # Errors
    /// [`TableError`], which writing to memory never gives.
    pub(super) fn of(job: &Job, row: &RoundRow, model: String) -> Result<Self, TableError> {
        let mut bytes = Vec::new();
        HistoryWriter::append(&mut bytes, &metrics(job)).write(row)?;
        let line = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Self { line, model })
    }

    /// As it is stored; entries of another version are left out.
    pub(super) fn read(stored: Vec<Value>) -> Vec<Self> {
        let entries = stored.into_iter();
        entries
            .filter_map(|entry| serde_json::from_value(entry).ok())
            .collect()
    }
}

impl Progress {
    /// As `entries` leave a run of `job` with so many members.
    pub(super) fn of(job: &Job, entries: &[Entry], members: usize) -> Self {
        let rows = rows(job, entries).unwrap_or_default();
        let judged = job.evaluation.metric.name();
        let measured = rows.iter().rev().find_map(|row| row.metrics.get(judged));
        Self {
            round: rows.last().map_or(0, |row| row.round),
            nodes: (members > 0).then_some(members as u64),
            metric: measured.copied(),
            model: entries.last().map(|entry| entry.model.clone()),
        }
    }
}

/// `history.csv`.
///
/// # Errors
/// [`TableError`], which writing to memory never gives.
pub(super) fn table(job: &Job, entries: &[Entry]) -> Result<Vec<u8>, TableError> {
    let mut bytes = Vec::new();
    drop(HistoryWriter::create(&mut bytes, &metrics(job))?);
    entries
        .iter()
        .for_each(|entry| bytes.extend(entry.line.as_bytes()));
    Ok(bytes)
}

/// The rounds.
///
/// # Errors
/// [`TableError`] if a line is another version's.
pub(super) fn rows(job: &Job, entries: &[Entry]) -> Result<Vec<RoundRow>, TableError> {
    read_history(table(job, entries)?.as_slice())
}

/// The columns of a job's history after the fixed ones.
fn metrics(job: &Job) -> Vec<String> {
    let kinds = job.evaluation.metrics.iter();
    kinds.map(|kind| kind.name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use commonweal_disk::history::Outcome;

    use super::*;

    #[test]
    fn a_history_survives_the_store_to_the_last_digit() {
        let text = "name = \"d\"\nrounds = 2\n[data]\nname = \"digits\"\n[model]\nkind = \"softmax\"\n\
                    [evaluation]\nmetrics = [\"loss\", \"accuracy\"]\nmetric = \"accuracy\"\n";
        let job = Job::parse(text).unwrap();
        let row = |round, metrics: &[(&str, f64)]| RoundRow {
            round,
            outcome: Outcome::Committed,
            reason: "a \"quoted\", reason".to_owned(),
            cohort: 3,
            reported: 3,
            refused: 0,
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
        let written = [
            row(1, &[("loss", 1.0 / 3.0), ("accuracy", 2.0 / 3.0)]),
            row(2, &[]),
        ];
        let stored = written.iter().map(|row| {
            let entry = Entry::of(&job, row, format!("sha256:{}", row.round)).unwrap();
            serde_json::to_value(entry).unwrap()
        });
        let entries = Entry::read(stored.collect());
        assert_eq!(rows(&job, &entries).unwrap(), written);
        let progress = Progress::of(&job, &entries, 3);
        assert_eq!((progress.round, progress.metric), (2, Some(2.0 / 3.0)));
        assert_eq!(progress.model.as_deref(), Some("sha256:2"));
    }
}
