//! What is counted and logged of every request, and the server's time on every answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use commonweal_wire::{KeyId, RefusalCode, header};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Door;
use super::connection::Peer;
use super::refused::Refused;
use crate::exchange::unix_ms;

/// Counts a request by its route and outcome.
pub(super) async fn observe(
    State(door): State<Arc<Door>>,
    request: Request,
    next: Next,
) -> Response {
    let route = route(request.uri().path());
    // Copied: a header that is kept keeps the connection's whole buffer.
    let key = key(request.headers());
    let address = request.extensions().get::<Peer>().map(|peer| peer.address);
    let began = Instant::now();
    let mut response = next.run(request).await;
    if !matches!(route, "poll" | "reports" | "events") {
        door.metrics.request_time.note(began.elapsed());
    }
    let class = match response.status().as_u16() {
        ..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    };
    door.metrics.requests.count([route, class]);
    if let Some(refused) = response.extensions().get::<Refused>() {
        door.metrics.refusals.count([refused.code.word()]);
        if door
            .refusals_logged
            .lets_pass(door.clock.passed_ms() / 1_000)
        {
            let member = key.and_then(|key| door.register.member(&key));
            let node = member.map(|member| member.name.to_string());
            log(route, node.unwrap_or_default(), address, refused);
        }
    }
    let time = HeaderValue::from(unix_ms());
    response
        .headers_mut()
        .insert(HeaderName::from_static(header::TIME), time);
    response
}

/// The key that the request is said to be by.
fn key(headers: &HeaderMap) -> Option<KeyId> {
    let value = headers.get(header::NODE)?.to_str().ok()?;
    KeyId::from_header(value).ok()
}

/// Names the culprit, as far as it says who it is: `node` is true only where the signature was not the matter.
fn log(route: &str, node: String, address: Option<IpAddr>, refused: &Refused) {
    let reason = refused.code.word();
    let address = address.map(|address| address.to_string());
    let address = address.unwrap_or_default();
    match refused.code {
        // All in a day's work.
        RefusalCode::Offset
        | RefusalCode::SlotLost
        | RefusalCode::Late
        | RefusalCode::Duplicate
        | RefusalCode::Unavailable => tracing::info!(node, address, route, reason, "{refused}"),
        _ => tracing::warn!(node, address, route, reason, "{refused}"),
    }
}

/// Lets so many lines a second pass: whoever sends nonsense does not fill the disk.
#[derive(Debug, Default)]
pub(super) struct Gate {
    second: AtomicU64,
    passed: AtomicU64,
}

/// Lines a second.
const MOST_LINES: u64 = 50;

impl Gate {
    fn lets_pass(&self, second: u64) -> bool {
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.passed.store(0, Ordering::Relaxed);
        }
        self.passed.fetch_add(1, Ordering::Relaxed) < MOST_LINES
    }
}

/// A word for the path: of a closed set, whatever a peer asks for.
fn route(path: &str) -> &'static str {
    let mut parts = path.split('/').skip(1);
    match (parts.next(), parts.next(), parts.next(), parts.nth(1)) {
        (Some("v1"), Some("join"), None, _) => "join",
        (Some("v1"), Some("poll"), None, _) => "poll",
        (Some("v1"), Some("verdict"), None, _) => "verdict",
        (Some("v1"), Some("leave"), None, _) => "leave",
        (Some("v1"), Some("blobs"), Some(_), _) => "blobs",
        (Some("v1"), Some("runs"), Some(_), _) if path.contains("/reports/") => "reports",
        (Some("v1"), Some("runs"), Some(_), _) => "failures",
        (Some("api"), _, _, Some("events")) => "events",
        (Some("api"), ..) => "api",
        (Some("healthz" | "readyz" | "metrics"), None, ..) => "health",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_so_many_pass_each_second() {
        let gate = Gate::default();
        for second in [7, 8] {
            let passed = (0..1_000).filter(|_| gate.lets_pass(second)).count();
            assert_eq!(passed as u64, MOST_LINES);
        }
    }

    #[test]
    fn every_path_has_a_word() {
        for (path, word) in [
            ("/v1/poll", "poll"),
            ("/v1/poll/", "other"),
            ("/v1/blobs/sha256:00", "blobs"),
            ("/v1/runs/a-1/reports/train-1/0", "reports"),
            ("/v1/runs/a-1/failures/train-1", "failures"),
            ("/api/v1/runs", "api"),
            ("/api/v1/runs/a-1/events", "events"),
            ("/metrics", "health"),
            ("/", "other"),
            ("", "other"),
        ] {
            assert_eq!(route(path), word, "{path}");
        }
    }
}
