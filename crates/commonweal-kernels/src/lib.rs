//! SIMD kernels with run-time dispatch: products, layers, activations, losses, optimizers, and the
//! exact integer sum of client updates.
//!
//! Read `simd` first: what a vector is, how a kernel written once is compiled for every instruction
//! set, and why that is sound. `tile` holds the register tiles from which `product`, `dense` and the
//! LSTM's packed products are made; `conv_pool` has tiles of its own. `fold` and `norm` serve the
//! federated algorithm and know nothing of models.
//!
//! All functions are safe, run on the calling thread, allocate nothing once their [`Workspace`] has
//! grown, and give the same bits for the same input on one [`InstructionSet`]. They panic where a
//! slice's length contradicts the sizes given with it: that is a fault of the caller, not of data.

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
