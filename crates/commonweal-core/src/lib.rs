//! The federated algorithm: parameters, updates, tasks, selection, aggregation, rounds, jobs.

#![no_std]

extern crate alloc;

pub mod job;
pub mod metric;
