//! Servers, nodes and researchers as real processes that talk over real sockets.

#![expect(clippy::unwrap_used, reason = "what fails here is the claim")]

mod by_hand;
mod crash;
mod external;
mod federation;
mod owner;
#[path = "../system/program.rs"]
#[allow(dead_code, reason = "shared with the system tests")]
mod program;
mod refusal;
mod up;
