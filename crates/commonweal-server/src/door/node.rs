//! What enrolled nodes ask: instructions, verdicts, failures, their leave.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use commonweal_core::TaskId;
use commonweal_wire::{RefusalCode, path, proto};
use http::{StatusCode, header};
use prost::Message;

use super::Door;
use super::asked::Asked;
use super::refused::{PROTOBUF, Refused};
use super::register::Member;
use crate::store::NodeState;

/// Most bytes of a verdict: the schema of data with many columns.
const LONGEST_VERDICT: usize = 1 << 20;

/// A message as an answer.
pub(super) struct Answer<M>(pub(super) M);

impl<M: Message> IntoResponse for Answer<M> {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.0.encode_to_vec()));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, PROTOBUF);
        response
    }
}

/// `POST /v1/poll`: waits for instructions.
pub(super) async fn poll(
    State(door): State<Arc<Door>>,
    Asked { asker, message }: Asked<proto::PollRequest>,
) -> Result<Answer<proto::PollAnswer>, Refused> {
    if let Some(statement) = &message.statement
        && door.exchange.statement(&asker.node).as_deref() != Some(statement)
    {
        let nodes = door.store.nodes();
        nodes
            .set_statement(&asker.member.key.id(), statement)
            .await?;
    }
    let node = asker.node;
    Ok(Answer(door.exchange.poll(&node, message).await?))
}

/// `POST /v1/verdict`: a node's answer to an offer.
pub(super) async fn verdict(
    State(door): State<Arc<Door>>,
    Asked { asker, message }: Asked<proto::Verdict, LONGEST_VERDICT>,
) -> Result<StatusCode, Refused> {
    let key = asker.member.key.id();
    door.runs.verdict(&asker.node, key, message).await?;
    Ok(StatusCode::OK)
}

/// `POST /v1/runs/<run>/failures/<task>`: a task that the node could not do.
pub(super) async fn failure(
    State(door): State<Arc<Door>>,
    path: Result<Path<(String, String)>, PathRejection>,
    Asked { asker, message }: Asked<proto::TaskFailure>,
) -> Result<StatusCode, Refused> {
    let Path((run, task)) = path?;
    let task = read_task(&task)?;
    door.runs.failure(&asker.node, &run, task, message).await?;
    Ok(StatusCode::OK)
}

/// `POST /v1/leave`: the node gives its key back.
pub(super) async fn leave(
    State(door): State<Arc<Door>>,
    Asked { asker, message: () }: Asked<()>,
) -> Result<StatusCode, Refused> {
    door.store.nodes().leave(&asker.member.key.id()).await?;
    door.register.note(Member {
        state: NodeState::Left,
        ..Member::clone(&asker.member)
    });
    door.exchange.remove(&asker.node);
    tracing::info!(node = %asker.node, "the node left");
    Ok(StatusCode::OK)
}

pub(super) fn read_task(text: &str) -> Result<TaskId, Refused> {
    path::read_task(text)
        .ok_or_else(|| Refused::new(RefusalCode::Malformed, "the path names no task"))
}
