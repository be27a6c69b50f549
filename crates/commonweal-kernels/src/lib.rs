//! SIMD kernels with run-time dispatch: products, activations, quantize, fold, pack.

pub mod activation;
pub mod conv;
pub mod conv_pool;
pub mod convert;
pub mod dense;
pub mod fold;
pub mod loss;
pub mod lstm;
pub mod norm;
pub mod optimizer;
pub mod pool;
pub mod product;

mod elementary;
mod instruction_set;
mod real;
mod simd;
mod tile;
mod workspace;

pub use activation::Activation;
pub use instruction_set::{InstructionSet, instruction_set};
pub use real::Real;
pub use workspace::Workspace;
