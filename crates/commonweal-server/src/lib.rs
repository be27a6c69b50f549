//! A federation's server.
