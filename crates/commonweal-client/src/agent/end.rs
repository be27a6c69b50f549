//! Why a running node stops by itself.

use commonweal_wire::RefusalCode;

use crate::connection::CallError;
use crate::record::RecordError;
use crate::request::RequestError;
use crate::states::StateError;

/// Why a running node stops by itself.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The same key is in use elsewhere.
    #[error(
        "this node's key is in use by another process, here or on another machine: the server gave it the work. A key \
         is one node: stop one of the two, and give the other a directory and an invitation of its own"
    )]
    TakenOver,
    /// The key was taken back.
    #[error(
        "the server's administrator revoked this node's key. To come back, ask for a new invitation and join with \
         another directory"
    )]
    Revoked,
    /// The server knows nothing of the key.
    #[error(
        "the server does not know this node ({message}): was it set up anew? Then ask its administrator for a new \
         invitation"
    )]
    Unknown {
        /// The server's sentence.
        message: String,
    },
    /// The versions do not fit.
    #[error("{message}")]
    Protocol {
        /// The server's sentence.
        message: String,
    },
    /// Nothing is done that cannot be written down.
    #[error("the record cannot be written, and nothing is sent that is not recorded: {0}")]
    Record(#[from] RecordError),
    /// The requests cannot be kept.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A client state cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// A part of this program has a fault.
    #[error("the node has a fault: {0}; please report this")]
    Fault(String),
}

/// The end that a refused poll means, if it means one.
pub(super) fn of_refusal(error: &CallError) -> Option<AgentError> {
    let CallError::Refused { code, message, .. } = error else {
        return None;
    };
    let message = message.clone();
    match code {
        RefusalCode::TakenOver => Some(AgentError::TakenOver),
        RefusalCode::Revoked => Some(AgentError::Revoked),
        RefusalCode::UnknownNode | RefusalCode::Signature => Some(AgentError::Unknown { message }),
        RefusalCode::Protocol => Some(AgentError::Protocol { message }),
        _ => None,
    }
}
