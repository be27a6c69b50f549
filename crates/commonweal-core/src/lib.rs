//! The federated algorithm: parameters, updates, tasks, selection, aggregation, rounds, jobs.
