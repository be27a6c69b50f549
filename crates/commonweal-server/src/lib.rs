//! A federation's server.

pub mod exchange;
pub mod store;
