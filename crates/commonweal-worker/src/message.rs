//! The JSON headers of both directions. Their meaning field by field is in `docs/worker-protocol.md`.

use commonweal_core::{LocalOptimizer, MetricKind, TensorSpec};
use serde::{Deserialize, Serialize};

/// The protocol's version: another number means that older workers cannot take part.
pub const PROTOCOL: u32 = 1;

/// What Commonweal says to a worker.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Request<'a> {
    /// The first message.
    Hello {
        protocol: u32,
        trainer: &'a str,
        slot: u32,
        device: Option<&'a str>,
        directory: &'a str,
        map_above_bytes: u64,
    },
    /// Asks for the model's tensors and initial values.
    Initial { id: u64, seed: String },
    /// Trains one client.
    Train {
        id: u64,
        #[serde(flatten)]
        subject: Subject<'a>,
        epochs: u32,
        steps: Option<u32>,
        batch_size: Option<u32>,
        learning_rate: f32,
        optimizer: LocalOptimizer,
    },
    /// Measures the model on one client's rows.
    Evaluate {
        id: u64,
        #[serde(flatten)]
        subject: Subject<'a>,
    },
    /// The request of this id is not wanted any more.
    Cancel { id: u64 },
    /// Answers a worker's `data`: the name of a file in the directory, or nothing.
    Data { file: Option<&'a str> },
    /// The last message.
    Shutdown,
}

/// Whom a request is about, and what is measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Subject<'a> {
    pub(crate) task: String,
    pub(crate) round: u64,
    pub(crate) client: &'a str,
    pub(crate) seed: String,
    pub(crate) metrics: &'a [MetricKind],
    pub(crate) classes: u32,
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// Not ready yet; still alive.
    Loading,
    /// Ready for requests.
    Hello {
        /// The version that the worker speaks.
        protocol: u32,
        /// Largest time between two signs of life, or nothing if the worker promises none.
        heartbeat_ms: Option<u64>,
        /// Requests that it understands: `train`, `evaluate`, `initial`.
        capabilities: Vec<String>,
    },
    /// Nothing but a sign of life.
    Heartbeat,
    /// How far a request is.
    Progress {
        /// The request.
        id: u64,
        /// Steps done.
        done: u64,
        /// Steps in all.
        total: u64,
    },
    /// Asks for the job's data set.
    Data,
    /// The model's tensors; their values are the body.
    Initial {
        /// The request.
        id: u64,
        /// Names, shapes and scopes, in the model's order.
        tensors: Vec<TensorSpec>,
    },
    /// A trained model: the body.
    Update {
        /// The request.
        id: u64,
        /// Optimizer steps done.
        steps: u64,
        /// Examples over which `loss` is the mean; an example counts once an epoch.
        #[serde(default)]
        examples: u32,
        /// Mean loss while training.
        #[serde(default)]
        loss: f64,
    },
    /// What was measured: the body holds one value an example.
    Metrics {
        /// The request.
        id: u64,
    },
    /// The request failed; the worker goes on.
    Error {
        /// The request.
        id: u64,
        /// What kind of failure.
        code: ErrorCode,
        /// What happened, in one line.
        #[serde(default)]
        text: String,
        /// The optimizer step at which it happened, counted from 1.
        #[serde(default)]
        step: u64,
    },
}

/// Kinds of failure that a worker reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// A `cancel` arrived.
    Cancelled,
    /// The loss or a parameter is no finite number any more.
    Diverged,
    /// The worker cannot do what is asked.
    Unsupported,
    /// The user's code failed.
    Failed,
}

/// A reply's header: the reply, and the file that holds its body if the frame does not.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ReplyHeader {
    /// A file name in the worker's directory.
    pub file: Option<String>,
    /// The message.
    #[serde(flatten)]
    pub reply: Reply,
}

/// A header that is no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a header that is no message of the protocol ({why}): {found}")]
pub struct HeaderError {
    /// What the parser says.
    why: String,
    /// The beginning of the header.
    found: String,
}

impl ReplyHeader {
    /// Reads a frame's header.
    ///
    /// # Errors
    /// [`HeaderError`] if it is not JSON, or no message of the protocol.
    pub fn parse(header: &[u8]) -> Result<Self, HeaderError> {
        serde_json::from_slice(header).map_err(|error| HeaderError {
            why: error.to_string(),
            found: header[..header.len().min(80)].escape_ascii().to_string(),
        })
    }
}

impl Reply {
    /// The request that this answers for good, if it answers one.
    pub(crate) fn answers(&self) -> Option<u64> {
        match *self {
            Self::Initial { id, .. }
            | Self::Update { id, .. }
            | Self::Metrics { id }
            | Self::Error { id, .. } => Some(id),
            _ => None,
        }
    }
}

/// `bytes` in hexadecimal digits, as seeds are written.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: &str) -> Result<Reply, HeaderError> {
        ReplyHeader::parse(header.as_bytes()).map(|header| header.reply)
    }

    #[test]
    fn unknown_fields_of_a_later_minor_version_are_ignored() {
        let found = parse(r#"{"type":"heartbeat","gpu_celsius":60}"#);
        assert_eq!(found, Ok(Reply::Heartbeat));
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_beginning() {
        for (header, why) in [
            ("", "EOF while parsing"),
            ("[]", "expected struct"),
            (r#"{"type":"goodbye"}"#, "unknown variant `goodbye`"),
            (r#"{"type":"update","id":-1,"steps":1}"#, "invalid value"),
            (
                r#"{"type":"update","id":1,"steps":1,"loss":NaN}"#,
                "expected value",
            ),
            (
                r#"{"type":"error","id":1,"code":"tired"}"#,
                "unknown variant `tired`",
            ),
        ] {
            let error = parse(header).unwrap_err();
            assert!(error.to_string().contains(why), "{header}: {error}");
        }
    }

    #[test]
    fn a_reply_may_name_the_file_that_holds_its_body() {
        let header = r#"{"type":"metrics","id":3,"file":"reply"}"#;
        let header = ReplyHeader::parse(header.as_bytes()).unwrap();
        assert_eq!(header.file.as_deref(), Some("reply"));
        assert_eq!(header.reply.answers(), Some(3));
    }
}
