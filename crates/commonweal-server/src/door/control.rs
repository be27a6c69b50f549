//! The control API: what people with keys ask, in JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use commonweal_core::Digest;
use commonweal_wire::control::{
    ApiError, Events, Explanation, Identity, LogLines, NodeInfo, RunInfo, Submission,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;

use super::connection::Peer;
use super::{Door, blob, closed};
use crate::exchange::Presence;
use crate::runs::Content;
use crate::store::{Node, Role, StoreError};

/// How long a question for events waits.
const HOLD: Duration = Duration::from_secs(20);

/// The holder of a key.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    name: String,
    role: Role,
}

/// An [`ApiError`] on its way out.
#[derive(Debug)]
pub(super) struct Denied(ApiError);

impl Caller {
    /// The holder of the key in `headers`; one that was made a moment ago by another process is known to the store
    /// alone.
    pub(super) async fn of(door: &Door, headers: &HeaderMap) -> Result<Self, Denied> {
        let value = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let secret = value.and_then(|value| value.strip_prefix("Bearer "));
        let secret = secret.map(str::trim);
        let mut key = secret.and_then(|secret| door.register.holder(secret));
        if let (None, Some(secret)) = (&key, secret) {
            let digest = Digest::of(secret.as_bytes());
            key = door.store.keys().by_digest(&digest).await?;
        }
        match key {
            Some(key) => Ok(Self {
                name: key.name,
                role: key.role,
            }),
            None => Err(Denied::new(
                "unauthorized",
                "this server does not know the key: `commonweal login URL` with one from \
                 `commonweal server keys add NAME`",
            )),
        }
    }

    /// Whether the holder may do what takes `role`.
    fn needs(&self, role: Role) -> Result<(), Denied> {
        match self.role >= role {
            true => Ok(()),
            false => Err(Denied::new(
                "forbidden",
                format!(
                    "{} is a {}; this takes a {}",
                    self.name,
                    self.role.as_str(),
                    role.as_str()
                ),
            )),
        }
    }

    /// Whether the holder may end a run of `submitter`, or go on with it.
    fn may_steer(&self, submitter: &str) -> Result<(), Denied> {
        match submitter == self.name {
            true => self.needs(Role::Researcher),
            false => self.needs(Role::Admin),
        }
    }
}

impl FromRequestParts<Arc<Door>> for Caller {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Denied> {
        let caller = Self::of(door, &parts.headers).await?;
        if let Some(Extension(peer)) = parts.extensions.get::<Peer>().map(Extension) {
            door.know(peer);
        }
        Ok(caller)
    }
}

impl Denied {
    fn new(code: &str, message: impl Into<String>) -> Self {
        Self(ApiError {
            code: code.to_owned(),
            message: message.into(),
        })
    }
}

impl From<ApiError> for Denied {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        Self::new("unavailable", error.to_string())
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let status = match self.0.code.as_str() {
            "unauthorized" => StatusCode::UNAUTHORIZED,
            "forbidden" => StatusCode::FORBIDDEN,
            code if code.starts_with("unknown") => StatusCode::NOT_FOUND,
            "malformed" => StatusCode::BAD_REQUEST,
            "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
            "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        (status, Json(self.0)).into_response()
    }
}

type Answered<T> = Result<Json<T>, Denied>;

/// After which number somebody wants to hear.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct After {
    #[serde(default)]
    after: u64,
}

/// `GET /api/v1/identity`.
pub(super) async fn identity(caller: Caller) -> Json<Identity> {
    Json(Identity {
        name: caller.name,
        role: caller.role.as_str().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// `GET /api/v1/nodes`.
pub(super) async fn nodes(
    State(door): State<Arc<Door>>,
    _caller: Caller,
) -> Answered<Vec<NodeInfo>> {
    let nodes = door.store.nodes().list().await?;
    Ok(Json(
        nodes.iter().map(|node| node_info(&door, node)).collect(),
    ))
}

fn node_info(door: &Door, node: &Node) -> NodeInfo {
    let (is_online, last_seen_ms) = match door.exchange.presence(&node.name) {
        Presence::Online { .. } => (true, Some(door.exchange.now_ms())),
        Presence::Silent { since_ms } | Presence::Offline { since_ms } => (false, Some(since_ms)),
        Presence::Unknown => (false, node.seen_at_ms),
    };
    let working = door.exchange.working(&node.name);
    let labels = node.statement.labels.iter();
    let mut labels: Vec<_> = labels
        .map(|(label, value)| format!("{label}={value}"))
        .collect();
    labels.sort_unstable();
    NodeInfo {
        name: node.name.to_string(),
        fingerprint: node.key.id().to_string(),
        state: node.state.as_str().to_owned(),
        is_online,
        last_seen_ms,
        version: node.statement.version.clone(),
        data_sets: node.statement.data_sets.clone(),
        labels,
        working_on: working.map(|working| {
            let task = commonweal_wire::to_task_id(working.task.as_ref());
            match task {
                Ok(task) => format!("{} {task}", working.run),
                Err(_) => working.run,
            }
        }),
    }
}

/// `GET /api/v1/runs`.
pub(super) async fn list(State(door): State<Arc<Door>>, _caller: Caller) -> Answered<Vec<RunInfo>> {
    Ok(Json(door.runs.list().await?))
}

/// `POST /api/v1/runs`.
pub(super) async fn submit(
    State(door): State<Arc<Door>>,
    caller: Caller,
    body: Body,
) -> Answered<RunInfo> {
    caller.needs(Role::Researcher)?;
    let body = Limited::new(body, door.submission_bytes).collect().await;
    let body = body.map_err(|_| {
        let most_mb = door.submission_bytes / 1_000_000;
        Denied::new(
            "too_large",
            format!(
                "the submission broke off, or is larger than {most_mb} MB, the server's largest_submission_mb; a model \
                 takes a third more on its way than in its file"
            ),
        )
    })?;
    let submission: Submission = serde_json::from_slice(&body.to_bytes()).map_err(|error| {
        Denied::new(
            "malformed",
            format!("the submission cannot be read: {error}"),
        )
    })?;
    Ok(Json(door.runs.submit(&submission, &caller.name).await?))
}

/// `GET /api/v1/runs/<run>`.
pub(super) async fn info(
    State(door): State<Arc<Door>>,
    Path(run): Path<String>,
    _caller: Caller,
) -> Answered<RunInfo> {
    Ok(Json(door.runs.info(&run).await?))
}

/// `GET /api/v1/runs/<run>/events?after=N`: waits for one.
pub(super) async fn events(
    State(door): State<Arc<Door>>,
    Path(run): Path<String>,
    Query(After { after }): Query<After>,
    _caller: Caller,
) -> Answered<Events> {
    let mut closing = door.closing.clone();
    let events = tokio::select! {
        events = door.runs.events(&run, after, HOLD) => events,
        () = closed(&mut closing) => {
            door.runs.events(&run, after, Duration::ZERO).await
        }
    };
    Ok(Json(events?))
}

/// `GET /api/v1/runs/<run>/logs?after=N`.
pub(super) async fn logs(
    State(door): State<Arc<Door>>,
    Path(run): Path<String>,
    Query(After { after }): Query<After>,
    _caller: Caller,
) -> Answered<LogLines> {
    Ok(Json(door.runs.logs(&run, after).await?))
}

/// `GET /api/v1/runs/<run>/explain`.
pub(super) async fn explain(
    State(door): State<Arc<Door>>,
    Path(run): Path<String>,
    _caller: Caller,
) -> Answered<Explanation> {
    Ok(Json(door.runs.explain(&run).await?))
}

/// `POST /api/v1/runs/<run>/cancel`: by who submitted it, or an administrator.
pub(super) async fn cancel(
    State(door): State<Arc<Door>>,
    Path(run): Path<String>,
    caller: Caller,
) -> Answered<RunInfo> {
    caller.may_steer(&door.runs.info(&run).await?.submitter)?;
    Ok(Json(door.runs.cancel(&run, &caller.name).await?))
}

/// `POST /api/v1/runs/<run>/resume`: by who submitted it, or an administrator.
pub(super) async fn resume(
    State(door): State<Arc<Door>>,
    Path(run): Path<String>,
    caller: Caller,
) -> Answered<RunInfo> {
    caller.may_steer(&door.runs.info(&run).await?.submitter)?;
    Ok(Json(door.runs.resume(&run).await?))
}

/// `GET /api/v1/runs/<run>/files/<name>`.
pub(super) async fn file(
    State(door): State<Arc<Door>>,
    Path((run, name)): Path<(String, String)>,
    headers: HeaderMap,
    _caller: Caller,
) -> Result<Response, Denied> {
    let file = door.runs.file(&run, &name).await?;
    let mut response = match file.content {
        Content::Bytes(bytes) => Response::new(Body::from(bytes)),
        Content::Blob(digest) => blob::answer(&door, digest, &headers).await?,
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media));
    // The same name may be other bytes tomorrow.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}
