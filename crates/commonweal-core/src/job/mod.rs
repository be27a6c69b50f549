//! The job file: one TOML document that says what is learned, from which data and how.
//!
//! Every section is a struct that is valid once [`Job`] exists.

mod canonical;
mod check;
mod cohort;
mod data;
mod deployment;
mod error;
mod evaluation;
mod manifest;
mod model;
mod nearest;
mod node;
mod overrides;
pub mod reference;
mod rules;
mod schedule;
mod simulation;
mod strategy;
mod training;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

pub use cohort::{CohortSize, CohortSpec, Sampling};
pub use data::{Column, Data, DataSource, DataTask, Files, Format, Missing, Scale, Text, Windows};
pub use deployment::{Deployment, Requirement};
pub use error::{JobError, JobErrors, Place, Problem};
pub use evaluation::{Checkpoints, Evaluation, Expect, Stop, Threshold};
pub use manifest::Manifest;
pub use model::{Activation, Layer, Model, ModelKind};
pub use nearest::nearest;
pub use reference::reference;
pub use schedule::{Decay, Schedule};
pub use simulation::{Baseline, Partition, Population, Simulation, TrainerSpec};
pub use strategy::{AggregatorSpec, StrategyKind, StrategySpec};
pub use training::{
    BUILT_IN_TRAINER, BatchSize, ClassWeights, LocalLength, LocalOptimizerSpec, Training,
};

/// A job with all its defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Names the run folder: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Rounds, at least 1.
    pub rounds: u32,
    /// Root of all reproducible randomness.
    pub seed: u64,
    /// `[data]`
    pub data: Data,
    /// `[simulation]`
    pub simulation: Simulation,
    /// `[model]`
    pub model: Model,
    /// `[training]`
    pub training: Training,
    /// `[cohort]`
    pub cohort: CohortSpec,
    /// `[strategy]`
    pub strategy: StrategySpec,
    /// `[evaluation]`
    pub evaluation: Evaluation,
    /// `[stop]`
    pub stop: Option<Stop>,
    /// `[expect]`
    pub expect: Option<Expect>,
    /// `[checkpoints]`
    pub checkpoints: Checkpoints,
    /// `[deployment]`
    pub deployment: Deployment,
}

impl Job {
    /// The metric that the result is judged by: that of `[expect]`, else of `[evaluation]`.
    #[must_use]
    pub fn judged_by(&self) -> crate::MetricKind {
        let expect = self.expect.as_ref();
        expect.map_or(self.evaluation.metric, |expect| expect.metric)
    }

    /// Reads a job file.
    ///
    /// # Errors
    /// Every fault that was found, with its line and column.
    pub fn parse(text: &str) -> Result<Self, JobErrors> {
        Self::parse_with(text, &[] as &[&str])
    }

    /// Reads a job file with overrides, `key=value`, which are applied in order before anything is
    /// checked. The key is dotted, with a number for an item of a list; the value has TOML's
    /// syntax, and a bare word is a text.
    ///
    /// # Errors
    /// Every fault that was found, with its line and column or its override.
    pub fn parse_with(text: &str, overrides: &[impl AsRef<str>]) -> Result<Self, JobErrors> {
        let mut root = node::parse(text).map_err(|faults| {
            let error = |(place, problem)| JobError {
                place,
                key: String::new(),
                problem,
            };
            JobErrors(faults.into_iter().map(error).collect())
        })?;
        let mut errors = Vec::new();
        for text in overrides.iter().map(AsRef::as_ref) {
            if let Err(message) = overrides::apply(&mut root, text) {
                let place = Place::Override(text.to_string());
                let problem = Problem::Override { message };
                errors.push(JobError {
                    place,
                    key: String::new(),
                    problem,
                });
            }
        }
        build(root, errors)
    }

    /// The job with all its defaults, as a job file that reads as the same job.
    pub fn to_toml(&self) -> String {
        canonical::to_toml(&canonical::value(self))
    }
}

/// Checks a document and builds the job, or tells `errors` and all faults.
fn build(root: node::Node, mut errors: Vec<JobError>) -> Result<Job, JobErrors> {
    match check::check(root) {
        Err(faults) => errors.extend(faults),
        Ok(mut checked) => {
            rules::complete(&mut checked.json);
            errors.extend(rules::broken(&checked));
            if errors.is_empty() {
                return serde_json::from_value(checked.json).map_err(|fault| {
                    let problem = Problem::Unbuildable {
                        message: fault.to_string(),
                    };
                    let place = Place::File { line: 1, column: 1 };
                    JobErrors(alloc::vec![JobError {
                        place,
                        key: String::new(),
                        problem
                    }])
                });
            }
        }
    }
    errors.sort_by_key(|error| match error.place {
        Place::File { line, column } => (line, column),
        Place::Override(_) | Place::Manifest => (0, 0),
    });
    Err(JobErrors(errors))
}
