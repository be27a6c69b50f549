//! Training in a worker process of any language, over pipes.
//!
//! [`Workers`] knows how processes are started; each of its [`WorkerTrainer`]s keeps one alive and speaks
//! the protocol of `docs/worker-protocol.md` with it. [`Frame`], [`ReplyHeader`] and [`body`] read what comes
//! from a process and are pure; only `process` owns threads and pipes.

mod archive;
pub mod body;
mod data;
mod error;
mod exchange;
mod frame;
mod liveness;
mod message;
mod pool;
mod process;
mod stderr;
mod trainer;
mod worker;
mod worker_data;

pub use archive::{ArchiveError, Entry};
pub use body::BodyError;
pub use data::DataSet;
pub use error::WorkerError;
pub use frame::{Frame, FrameError, Limits, Prefix};
pub use liveness::Hung;
pub use message::{ErrorCode, HeaderError, PROTOCOL, Reply, ReplyHeader};
pub use pool::Workers;
pub use process::Fault;
pub use safetensors::Dtype;
pub use stderr::LineSink;
pub use trainer::WorkerTrainer;
pub use worker_data::WorkerData;
