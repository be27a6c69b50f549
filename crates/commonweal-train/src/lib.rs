//! Models and local training over one flat parameter vector.
//!
//! A [`Model`] is built from a job's `[model]` section and the shape of a data set's examples; its
//! tensors have the names, shapes and gate order of PyTorch's `state_dict`. [`BuiltInTrainer`]
//! trains one client at a time on one thread, in memory that is allocated once.
//!
//! Nothing here reads a clock, a file or a random source of its own.

mod batch;
mod build;
mod error;
pub mod fixture;
mod head;
mod initial;
mod layer;
mod local;
mod measured;
mod model;
mod named;
mod optimizer;
mod pass;
mod score;
mod shape;
mod torch;
mod trainer;
mod workspace;

pub use batch::{Batch, Goal, Inputs};
pub use commonweal_kernels::{InstructionSet, instruction_set};
pub use error::ModelError;
pub use model::Model;
pub use shape::Shape;
pub use torch::torch_source;
pub use trainer::BuiltInTrainer;
pub use workspace::Workspace;
