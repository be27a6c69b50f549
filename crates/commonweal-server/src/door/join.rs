//! Joining: an invitation's token against an enrolment.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use commonweal_core::{ClientName, Digest};
use commonweal_wire::{PublicKey, RefusalCode, proto};

use super::Door;
use super::asked::{MOST_BYTES, target, timely, whole};
use super::connection::Peer;
use super::node::Answer;
use super::refused::Refused;
use super::register::Member;
use crate::exchange::unix_ms;
use crate::store::{Enrolment, JoinError, NodeState};

/// `POST /v1/join`: signed by the key that is to be enrolled. Repeated, it has the same answer.
pub(super) async fn join(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, Refused> {
    let wait_ms = door
        .attempts()
        .wait_ms(peer.address, door.clock.passed_ms());
    if wait_ms > 0 {
        let seconds = wait_ms.div_ceil(1_000);
        return Err(Refused::new(
            RefusalCode::TooMany,
            format!("too many attempts to join from this address: try again in {seconds} s"),
        ));
    }
    let (request, key) = read(request).await?;
    let enrolment = enrolment(&door, request, key)?;
    let now_ms = door.clock.passed_ms();
    door.attempts().begin(peer.address, now_ms);
    let joined = door.store.invitations().join(enrolment).await;
    if let Err(JoinError::Unknown | JoinError::Used | JoinError::Expired) = &joined {
        tracing::warn!(address = %peer.address, key = %key.id(), "an invitation was refused");
    } else {
        door.attempts().succeed(peer.address);
    }
    let node = joined?;
    if door.register.member(&key.id()).is_none() {
        // The name may have been another key's, to which the runs have listened.
        door.exchange.remove(&node.name);
    }
    door.register.note(Member::from(&node));
    if node.state == NodeState::Enrolled {
        door.exchange
            .remember(&node.name, node.seen_at_ms, node.statement);
    }
    door.know(&peer);
    tracing::info!(node = %node.name, key = %key.id(), address = %peer.address, "a node joined");
    let answer = proto::JoinAnswer {
        name: node.name.to_string(),
        waits_for_approval: node.state == NodeState::Waiting,
    };
    Ok(Answer(answer).into_response())
}

/// The request and its key, once the key has signed it.
async fn read(request: Request) -> Result<(proto::JoinRequest, PublicKey), Refused> {
    let (parts, body) = request.into_parts();
    let signed = timely(&parts.headers)?;
    let bytes = whole(body, signed.digest, MOST_BYTES).await?;
    let request: proto::JoinRequest =
        commonweal_wire::read(&bytes).map_err(|error| Refused::malformed(error.to_string()))?;
    let key = PublicKey::try_from(&request.public_key[..])
        .map_err(|error| Refused::malformed(error.to_string()))?;
    match signed.is_by(&key, parts.method.as_str(), target(&parts)) {
        true => Ok((request, key)),
        false => Err(Refused::new(
            RefusalCode::Signature,
            "the request is not signed with the key that is to be enrolled",
        )),
    }
}

fn enrolment(
    door: &Door,
    request: proto::JoinRequest,
    key: PublicKey,
) -> Result<Enrolment, Refused> {
    // A node without a wish is called by its invitation; failing that, by its key.
    let name = match request.name.is_empty() {
        true => format!("node-{:.8}", hex(&key)),
        false => request.name,
    };
    let name = ClientName::try_from(name).map_err(|error| Refused::malformed(error.to_string()))?;
    Ok(Enrolment {
        token: Digest::of(&request.token),
        key,
        name,
        statement: request.statement.unwrap_or_default(),
        waits_for_approval: door.approves,
        at_ms: unix_ms(),
    })
}

fn hex(key: &PublicKey) -> String {
    let bytes = key.to_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
