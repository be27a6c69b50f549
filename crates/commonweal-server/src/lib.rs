//! A federation's server.

pub mod config;
pub mod exchange;
pub mod runs;
pub mod store;
