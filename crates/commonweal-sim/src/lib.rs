//! Simulates a federation on one machine: virtual time, real training, the same bytes every time.

pub mod checkpoint;
pub mod client_table;
pub mod file;
pub mod folder;
pub mod history;
pub mod memory;
pub mod model_file;
pub mod observer;
pub mod partition_table;
pub mod record;
pub mod spread;
pub mod states;
pub mod table;
