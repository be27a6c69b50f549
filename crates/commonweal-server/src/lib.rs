//! A federation's server.

pub mod exchange;
