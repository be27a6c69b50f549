//! Who asks: a request's headers and body, taken for true only once they are.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use commonweal_core::{ClientName, Digest};
use commonweal_wire::{RefusalCode, Signed, SignedError};
use http::HeaderMap;
use http::request::Parts;
use http_body_util::{BodyExt as _, Limited};
use prost::Message;

use super::connection::Peer;
use super::refused::Refused;
use super::replay::is_timely;
use super::{Door, register::Member};
use crate::exchange::unix_ms;
use crate::store::NodeState;

/// Most bytes of a message's body, if nothing else is said.
pub(super) const MOST_BYTES: usize = 64 << 10;

/// Time in which a whole message arrives.
const BODY_TIME: Duration = Duration::from_secs(30);

/// An enrolled node that has signed the request's headers. What its body's digest is said to be is signed; that
/// the body has it, is left to whoever reads the body.
pub(super) struct Asker {
    pub(super) node: ClientName,
    pub(super) member: Arc<Member>,
    pub(super) digest: Digest,
}

/// An enrolled node's signed message, of at most `MOST` bytes.
pub(super) struct Asked<M, const MOST: usize = MOST_BYTES> {
    pub(super) asker: Asker,
    pub(super) message: M,
}

impl FromRequestParts<Arc<Door>> for Asker {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Refused> {
        let signed = timely(&parts.headers)?;
        let Some(member) = door.register.member(&signed.node) else {
            return Err(Refused::new(
                RefusalCode::UnknownNode,
                "no node with this key is enrolled: join with an invitation",
            ));
        };
        door.refuse_spendthrift(&signed.node)?;
        if !signed.is_by(&member.key, parts.method.as_str(), target(parts)) {
            return Err(Refused::new(
                RefusalCode::Signature,
                "the signature is not of this request",
            ));
        }
        door.budgets().spend(signed.node, door.clock.passed_us());
        door.note(&signed)?;
        match member.state {
            NodeState::Enrolled => {}
            NodeState::Waiting => {
                return Err(Refused::new(
                    RefusalCode::Unapproved,
                    format!("an administrator has to approve {} first", member.name),
                ));
            }
            NodeState::Revoked | NodeState::Left => {
                return Err(Refused::new(
                    RefusalCode::Revoked,
                    format!("{}'s key was taken back", member.name),
                ));
            }
        }
        if let Some(peer) = parts.extensions.get::<Peer>() {
            door.know(peer);
        }
        Ok(Self {
            node: member.name.clone(),
            digest: signed.digest,
            member,
        })
    }
}

impl<M, const MOST: usize> FromRequest<Arc<Door>> for Asked<M, MOST>
where
    M: Message + Default,
{
    type Rejection = Refused;

    async fn from_request(request: Request, door: &Arc<Door>) -> Result<Self, Refused> {
        let (mut parts, body) = request.into_parts();
        let asker = Asker::from_request_parts(&mut parts, door).await?;
        drop(parts);
        let bytes = whole(body, asker.digest, MOST).await?;
        let message = commonweal_wire::read(&bytes);
        Ok(Self {
            asker,
            message: message.map_err(|error| Refused::malformed(error.to_string()))?,
        })
    }
}

/// The signature's headers, of a time that is near enough.
pub(super) fn timely(headers: &HeaderMap) -> Result<Signed, Refused> {
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let signed = Signed::read(value).map_err(|error| {
        let code = match error {
            SignedError::Protocol { .. } => RefusalCode::Protocol,
            SignedError::Missing { .. } | SignedError::Malformed { .. } => RefusalCode::Malformed,
        };
        Refused::new(code, error.to_string())
    })?;
    match is_timely(signed.time_ms, unix_ms()) {
        true => Ok(signed),
        false => Err(Refused::new(
            RefusalCode::Clock,
            "the request's time is more than five minutes off the server's: set the clock, or go by the server's time",
        )),
    }
}

/// Path and query as they were signed.
pub(super) fn target(parts: &Parts) -> &str {
    parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str())
}

/// A whole body of at most `most` bytes, if it has the digest that was signed.
pub(super) async fn whole(body: Body, digest: Digest, most: usize) -> Result<Bytes, Refused> {
    let read = tokio::time::timeout(BODY_TIME, Limited::new(body, most).collect());
    let Ok(read) = read.await else {
        return Err(Refused::malformed(
            "the request's body did not arrive in time",
        ));
    };
    let bytes = read.map_err(
        |error| match error.is::<http_body_util::LengthLimitError>() {
            true => Refused::new(
                RefusalCode::TooLarge,
                format!("this message has at most {most} bytes"),
            ),
            false => Refused::malformed("the request's body broke off"),
        },
    )?;
    let bytes = bytes.to_bytes();
    match Digest::of(&bytes) == digest {
        true => Ok(bytes),
        false => Err(Refused::new(
            RefusalCode::Digest,
            "the body has another digest than the one that was signed",
        )),
    }
}
