//! The protobuf messages.

use prost::Message;

/// The messages of `proto/commonweal.proto`, which documents them.
#[allow(
    missing_docs,
    clippy::doc_markdown,
    clippy::large_enum_variant,
    reason = "generated from the grammar, which documents them"
)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/commonweal.v1.rs"));
}

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no {expected}: is the peer of another version?")]
pub struct MessageError {
    /// Name of the message.
    pub expected: &'static str,
}

/// Reads a message. Fields that it does not know are skipped: they are a later version's.
///
/// # Errors
/// [`MessageError`].
pub fn read<M: Message + Default>(bytes: &[u8]) -> Result<M, MessageError> {
    let expected = std::any::type_name::<M>()
        .rsplit("::")
        .next()
        .unwrap_or("message");
    M::decode(bytes).map_err(|_| MessageError { expected })
}
