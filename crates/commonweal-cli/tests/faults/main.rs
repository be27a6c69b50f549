//! What networks, machines and peers do to servers and nodes: the shipped programs over real sockets.

#![expect(clippy::unwrap_used, reason = "what fails here is the claim")]

mod canary;
mod clock;
mod crash;
mod federation;
mod flood;
mod grammar;
mod hand;
mod hostile;
mod machines;
mod network;
mod nodes;
mod peer;
mod proxy;
mod recorder;
mod server;
mod site;
mod soak;
mod transcript;
mod transcripts;
