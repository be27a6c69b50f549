//! Federated learning from one binary: simulate, deploy, inspect.
