//! What nodes and servers say to each other: messages, tasks, signatures, join strings, and the control API.
//!
//! Pure: bytes in, values out, and back. Sockets, clocks and keys' files belong to the server and the client.
//! `docs/protocol.md` describes the conversation, `proto/commonweal.proto` its grammar.

pub mod control;
mod join;
mod key;
mod message;
pub mod path;
mod refusal;
mod signature;
mod task;

pub use join::{JoinString, JoinStringError, ServerIdentity, Token};
pub use key::{KeyError, KeyId, NodeKey, PublicKey};
pub use message::{MessageError, proto, read};
pub use refusal::{RefusalCode, refusal};
pub use signature::{Nonce, Request, Signed, SignedError, header};
pub use task::{TaskError, remaining_ms, task_id, task_of, to_task, to_task_id};

/// Version of the protocol. A server refuses another one with a clear answer.
pub const PROTOCOL: u32 = 1;

/// Name to which a federation's own certificate is made out, whatever its address.
pub const FEDERATION_NAME: &str = "federation.commonweal.internal";

/// How far a request's time may be from the server's, in milliseconds.
pub const CLOCK_WINDOW_MS: u64 = 300_000;
