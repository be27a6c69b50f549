//! What simulator, server and node read from and write to disk: data sets, models, run folders; and the
//! secret randomness that the operating system gives.

pub mod client_table;
mod deal;
mod declared_model;
mod entropy_source;
pub mod file;
pub mod folder;
mod header;
pub mod history;
mod input;
mod json;
pub mod memory;
pub mod model_file;
pub mod observer;
pub mod partition_table;
pub mod record;
mod source;
pub mod spread;
pub mod table;

pub use deal::{Share, ShareError, deal, share};
pub use declared_model::{declare_model, parse_declared};
pub use entropy_source::{EntropySource, NoEntropy};
pub use input::{InputError, InputRecord};
pub use json::{JsonError, read_json, write_json};
pub use source::{DataPlaces, SourceError, complete, read_renamed, read_source};
