//! The server's door over real sockets: what it lets in, and how it refuses everything else.

#![expect(clippy::unwrap_used, reason = "what fails here is the claim")]

mod client;
mod house;

mod blobs;
mod control;
mod identity;
mod join;
mod polls;
mod reports;
mod strangers;
