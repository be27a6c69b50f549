//! Real worker processes: what they give, how they fail, and the documented transcript.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "what helpers of tests unwrap is a failed test"
)]

mod faults;
mod results;
mod scripted;
mod transcript;
