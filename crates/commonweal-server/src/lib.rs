//! A federation's server.

pub mod admin;
pub mod authority;
pub mod config;
pub mod exchange;
pub mod metrics;
pub mod runs;
pub mod store;

mod door;
mod server;

pub use server::{Running, Server, StartError};
