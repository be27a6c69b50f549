//! What an update passes between a trainer and the model: fixed slots on the client and on the server.
//!
//! Client: clip → linear transform → quantize → weight → noise → mask.
//! Server: sum → unmask → noise → dequantize → inverse transform → denominator.
//!
//! The order is part of the privacy proof, so each side is a struct with a field a slot, and not a list. So
//! far clip, quantize, weight, sum, dequantize and denominator exist. A linear transform gets its field
//! between clip and quantizer; noise and mask get theirs after the weight, and draw from the [`Entropy`] that
//! both sides already take. In plain mode the weight is applied by the server, when it sums.
//!
//! [`Entropy`]: crate::Entropy

mod client;
mod quantizer;
mod server;
#[cfg(test)]
mod tests;

use alloc::string::String;

pub use client::{ClientPipeline, ProtectError};
pub use quantizer::{Quantizer, QuantizerError};
pub use server::{Aggregate, AggregateError, Rule, ServerPipeline};

/// A further vector that every update of a task carries, with a grid of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtraSpec {
    /// Its name.
    pub name: String,
    /// Its number of values.
    pub len: usize,
    /// Its grid.
    pub quantizer: Quantizer,
}
