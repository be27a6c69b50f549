//! What a finished run says about itself: `summary.json`, read by reports, plots and `commonweal runs`.
//!
//! Digests are text (`sha256:<hex>`), paths are relative to the run folder, times are seconds of wall
//! clock. The rounds are in `history.csv` ([`crate::history`]), the clients in `clients.csv`
//! ([`crate::client_table`]).

use std::collections::BTreeMap;
use std::path::PathBuf;

use commonweal_core::MetricKind;
use commonweal_core::job::{Expect, Threshold};
use serde::{Deserialize, Serialize};

use crate::observer::{Event, Named};
use crate::spread::Spread;

/// The result of one job over all its seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the job.
    pub job: String,
    /// Digest of the job's manifest.
    pub manifest: String,
    /// The metric that the job is judged by: that of `[expect]`, else of `[stop]`, else the last one listed.
    pub metric: String,
    /// Whether a larger value of `metric` is better.
    pub higher_is_better: bool,
    /// Every metric of the final federated models, by name.
    pub federated: BTreeMap<String, Spread>,
    /// The baselines that the job asks for, in its order.
    pub baselines: Vec<BaselineSummary>,
    /// The value that `[expect]` promises for `metric`, if any.
    pub expected: Option<Expected>,
    /// One entry a seed, the job's first.
    pub seeds: Vec<SeedSummary>,
    /// Clients of the federation.
    pub clients: u64,
    /// Rows that the clients train on, summed.
    pub train_rows: u64,
    /// Rows that the clients test on, summed.
    pub test_rows: u64,
    /// Parameters of the model.
    pub parameters: u64,
    /// The whole run, from reading the data to this record. Of what was done before it was resumed, the
    /// training, the evaluation and the baselines.
    pub seconds: f64,
    /// Largest resident set of the process, where the operating system tells it.
    pub peak_bytes: Option<u64>,
    /// Instruction set that the kernels chose; other sets may give other bytes.
    pub instruction_set: String,
    /// Threads that trained.
    pub threads: usize,
    /// Path of the first seed's model within the run folder.
    pub model: String,
    /// Digest of the first seed's model.
    pub digest: String,
    /// Version of the program.
    pub version: String,
}

/// One seed's run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedSummary {
    /// The seed.
    pub seed: u64,
    /// Folder of this seed's files within the run folder; empty for the first.
    pub folder: String,
    /// Rounds that were run, abandoned ones included.
    pub rounds: u64,
    /// Rounds among them that left the parameters unchanged.
    pub abandoned: u64,
    /// Why the run ended.
    pub ended: Ended,
    /// Metrics of the final model, by name.
    pub metrics: BTreeMap<String, f64>,
    /// Digest of the final model.
    pub digest: String,
    /// Training and aggregation, all rounds.
    pub seconds_train: f64,
    /// Evaluation, all rounds.
    pub seconds_evaluate: f64,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The job's number of rounds was reached.
    Rounds,
    /// The stopping rule of `[stop]` was met.
    Stop,
}

/// One baseline over all seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaselineSummary {
    /// `pooled`, `local`, `local, best client` or `local, own test rows`.
    pub name: String,
    /// What was trained on what and how it was averaged, in a sentence for the reader of a report.
    pub meaning: String,
    /// Every metric, by name.
    pub metrics: BTreeMap<String, Spread>,
    /// Wall clock, all seeds.
    pub seconds: f64,
}

/// The floor that a job states for itself and whether its result keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// Metric.
    pub metric: String,
    /// Bound for the mean over seeds: from below where higher is better, else from above.
    pub bound: f64,
    /// Whether the mean over seeds keeps the bound.
    pub met: bool,
}

impl Expected {
    /// What `expect` promises, held against the metrics of the final models.
    #[must_use]
    pub fn of(expect: &Expect, federated: &BTreeMap<String, Spread>) -> Self {
        let metric = expect.metric.name();
        let mean = federated.get(metric).map_or(f64::NAN, |spread| spread.mean);
        let (Threshold::AtLeast(bound) | Threshold::AtMost(bound)) = expect.threshold;
        Self {
            metric: metric.to_owned(),
            bound,
            met: expect.threshold.is_met(mean),
        }
    }
}

impl Summary {
    /// The last event of a run, whose first seed's model is the file `model`, where one is written.
    #[must_use]
    pub fn finished(&self, model: Option<PathBuf>) -> Event {
        let mean = |name: &str| self.federated.get(name).map(|spread| spread.mean);
        Event::Finished {
            rounds: self.seeds.first().map_or(0, |seed| seed.rounds),
            metric: Named {
                name: self.metric.clone(),
                value: mean(&self.metric),
            },
            accuracy: mean(MetricKind::Accuracy.name()),
            loss: mean(MetricKind::Loss.name()),
            seconds: self.seconds,
            model,
            digest: self.digest.clone(),
        }
    }

    /// The metric that the job is judged by, over the seeds.
    #[must_use]
    pub fn judged(&self) -> Option<&Spread> {
        self.federated.get(&self.metric)
    }
}
