//! The job file: one TOML document that says what is learned, from which data and how.
//!
//! Every section is a struct that is valid once [`Job`] exists.

mod cohort;
mod data;
mod evaluation;
mod model;
mod simulation;
mod strategy;
mod training;

use alloc::string::String;

use serde::{Deserialize, Serialize};

pub use cohort::{CohortSize, CohortSpec, Sampling};
pub use data::{Column, Data, DataSource, DataTask, Files, Format, Missing, Scale, Text, Windows};
pub use evaluation::{Checkpoints, Evaluation, Expect, Stop, Threshold};
pub use model::{Activation, Layer, Model, ModelKind};
pub use simulation::{Baseline, Partition, Population, Simulation, TrainerSpec};
pub use strategy::{AggregatorSpec, StrategyKind, StrategySpec, WeightingSpec};
pub use training::{
    BUILT_IN_TRAINER, BatchSize, ClassWeights, Decay, LocalLength, LocalOptimizerSpec, Schedule,
    Training,
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
}
