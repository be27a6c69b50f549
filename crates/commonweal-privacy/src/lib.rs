//! Differential privacy that cannot be put together wrongly: clipping bounds and clips.
//!
//! A guarantee is one thing made of a clip, a weight, a noise, a denominator and an accountant; leave one
//! out and there is none. What exists so far is the first of them: [`ClippingNorm`] and [`clip_l2`], which
//! bound what one client can do to a sum. A clip alone protects nobody. Noise and accountants belong into
//! this crate too, beside the clip whose bound they rest on, and take their secret randomness as an argument.
//!
//! Nothing here knows of federated learning.
#![no_std]

#[cfg(test)]
extern crate std;

mod clip;

pub use clip::{ClippingNorm, ClippingNormError, NonFinite, clip_l2};
