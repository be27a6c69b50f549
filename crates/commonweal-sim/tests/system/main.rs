//! Whole simulations on embedded data.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod common;
mod determinism;
mod learning;
mod prediction;
mod resuming;
