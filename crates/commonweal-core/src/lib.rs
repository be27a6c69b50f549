//! The federated algorithm: parameters, updates, tasks, selection, aggregation, rounds, jobs.
//!
//! No machine learning lives here: a model is a flat vector with a [`Layout`]. Nothing here reads a
//! clock, opens a file or draws randomness of its own: [`Time`], bytes, [`Seed`] and [`Entropy`] are
//! arguments. Drivers (the simulator, a server) own clocks, threads and sockets.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod job;

mod aggregate;
mod digest;
mod entropy;
mod layout;
mod metric;
mod name;
mod optimizer;
mod parameters;
mod payload;
mod pipeline;
mod plan;
mod population;
mod prepare;
mod reader;
mod refusal;
mod round;
mod run;
mod sample;
mod seed;
mod selection;
mod session;
mod strategy;
mod task;
mod time;
mod trainer;
mod update;
mod wide;

pub use commonweal_privacy::ClippingNorm;

pub use aggregate::{
    Accumulator, Aggregator, CohortBlock, CoordinateMedian, Fold, GridUpdate, Mean, Partial,
    Report, RobustAggregator, Sum,
};
pub use digest::{Digest, DigestError, DigestWriter};
pub use entropy::Entropy;
pub use layout::{ExportType, Layout, LayoutError, Scope, Tensor, TensorSpec};
pub use metric::{MetricError, MetricKind, MetricSpec, MetricSums, Outcome, Prediction};
pub use name::{ClientName, NameError};
pub use optimizer::{OptimizerError, ServerMomentum, ServerOptimizer, ServerSgd};
pub use parameters::{Parameters, ParametersError};
pub use payload::{Message, Payload, PayloadError, UpdateMessage};
pub use pipeline::{
    Aggregate, AggregateError, ClientPipeline, ExtraSpec, ProtectError, Quantizer, QuantizerError,
    Rule, ServerPipeline,
};
pub use plan::{EvaluatePlan, LocalOptimizer, TrainPlan};
pub use population::{ClientIndex, Population, PopulationError};
pub use prepare::{
    ColumnFound, ColumnSpec, Found, PrepareError, PrepareSpec, PrepareSums, Prepared, Statistic,
};
pub use refusal::Refusal;
pub use round::{AbandonReason, Abandoned, Action, Committed, Event, Round, RoundSpec};
pub use run::{
    Best, CommitError, End, EvaluationOutcome, Judge, Known, Next, RoundOutcome, Run, RunSpec,
    RunSpecError, Snapshot, SnapshotError, SnapshotParts, open_prepare,
};
pub use sample::{below, normal, shuffle, unit};
pub use seed::{Purpose, Seed, SeedRng};
pub use selection::{All, Cohort, Poisson, Randomness, Reserve, Selector, Uniform};
pub use session::{PlainReporting, Session, SessionAction, Step};
pub use strategy::Strategy;
pub use task::{Stage, Task, TaskId, TaskKind};
pub use time::Time;
pub use trainer::{ClientRows, Flow, Progress, TrainError, Trainer};
pub use update::{ClientState, ClientUpdate, Extra, ModelVersion, Weight, WeightError, Weighting};
