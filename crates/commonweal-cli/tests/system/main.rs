//! The whole program, as a user runs it: arguments in; events, exit codes and files out.

#![expect(clippy::unwrap_used, reason = "what fails here is the claim")]

mod bench;
mod data;
mod doors;
mod faults;
mod inspect;
mod interrupt;
mod new;
#[allow(
    dead_code,
    reason = "shared with the tests of deployments, which use all of it"
)]
mod program;
mod reproducible;
