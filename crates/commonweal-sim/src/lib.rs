//! Simulates a federation on one machine: virtual time, real training, the same bytes every time.

mod arrival;
mod baseline;
pub mod checkpoint;
mod crew;
mod deployed;
mod desk;
mod drive;
mod environment;
mod error;
mod federation;
mod finish;
mod finished_run;
mod initial;
mod origin;
mod other_data;
mod part;
mod preview;
mod records;
mod restore;
mod result;
mod seed;
mod seed_run;
mod simulation;
pub mod states;
mod trainers;
mod work;

pub use deployed::{Deployed, DeployedSeed};
pub use environment::{Environment, LineSink};
pub use error::SimulationError;
pub use finished_run::{FinishedRun, Measured, PredictError, Predictions};
pub use initial::initial_model;
pub use other_data::{OwnRows, RowsError};
pub use preview::preview_partition;
pub use seed::DrivenSeed;
pub use simulation::{Ending, Finished, Simulation};
pub use trainers::{MakeInitial, MakeTrainer};
