//! A refusal on its way out: always a message with a code, whatever went wrong.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use commonweal_wire::{RefusalCode, refusal};
use http::{HeaderValue, StatusCode, header};
use prost::Message as _;

use crate::exchange::{Loss, PollError, UploadError};
use crate::runs;
use crate::store::{JoinError, StoreError};

/// Why a node's request was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Refused {
    pub(super) code: RefusalCode,
    pub(super) message: String,
    /// Where to go on, if that is the matter.
    pub(super) offset: u64,
}

impl Refused {
    pub(super) fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            offset: 0,
        }
    }

    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(RefusalCode::Malformed, message)
    }
}

/// The content type of all messages.
pub(super) const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let now_ms = crate::exchange::unix_ms();
        let mut message = refusal(self.code, self.message.as_str(), now_ms);
        message.offset = self.offset;
        let mut response = Response::new(Body::from(message.encode_to_vec()));
        let status = StatusCode::from_u16(self.code.status());
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, PROTOBUF);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<PathRejection> for Refused {
    fn from(rejection: PathRejection) -> Self {
        Self::malformed(rejection.body_text())
    }
}

impl From<QueryRejection> for Refused {
    fn from(rejection: QueryRejection) -> Self {
        Self::malformed(rejection.body_text())
    }
}

impl From<runs::Refused> for Refused {
    fn from(refused: runs::Refused) -> Self {
        Self::new(refused.code, refused.message)
    }
}

impl From<PollError> for Refused {
    fn from(error: PollError) -> Self {
        let code = match error {
            PollError::TakenOver => RefusalCode::TakenOver,
            PollError::Removed => RefusalCode::Revoked,
        };
        Self::new(code, error.to_string())
    }
}

impl From<UploadError> for Refused {
    fn from(error: UploadError) -> Self {
        let code = match error {
            // What became of the report is known only once the other connection is done: the node asks again.
            UploadError::Folding | UploadError::Lost(Loss::Superseded) => RefusalCode::Unavailable,
            UploadError::Lost(Loss::Slow) => RefusalCode::SlotLost,
            UploadError::Lost(Loss::Over) => RefusalCode::Late,
            UploadError::TooLong { .. } => RefusalCode::Malformed,
            UploadError::TooShort { .. } => RefusalCode::Offset,
            UploadError::Digest { .. } => RefusalCode::Digest,
        };
        let offset = match error {
            UploadError::TooShort { found, .. } => found,
            _ => 0,
        };
        Self {
            offset,
            ..Self::new(code, error.to_string())
        }
    }
}

impl From<JoinError> for Refused {
    fn from(error: JoinError) -> Self {
        let code = match error {
            JoinError::Unknown | JoinError::Used | JoinError::Expired => RefusalCode::Token,
            JoinError::NameTaken { .. } | JoinError::KeyKnown { .. } => RefusalCode::NameTaken,
            JoinError::Store(error) => return error.into(),
        };
        Self::new(code, error.to_string())
    }
}

impl From<StoreError> for Refused {
    /// The peer hears that the server is at fault; paths are for the server's own log.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoBlob { digest } => Self::new(
                RefusalCode::UnknownBlob,
                format!("there is no blob {digest}"),
            ),
            error => {
                tracing::error!(%error, "the store failed");
                Self::new(
                    RefusalCode::Unavailable,
                    "the server's store failed; its log says why. Try again later",
                )
            }
        }
    }
}
