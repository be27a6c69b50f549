//! Whole simulations on embedded data.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod around;
mod client_state;
mod common;
mod determinism;
mod faults;
mod held_out;
mod learning;
mod prediction;
mod resuming;
