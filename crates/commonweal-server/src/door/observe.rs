//! What is counted of every request, and the server's time on every answer.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use commonweal_wire::{RefusalCode, header};
use http::{HeaderName, HeaderValue};

use super::Door;
use crate::exchange::unix_ms;

/// Counts a request by its route and outcome.
pub(super) async fn observe(
    State(door): State<Arc<Door>>,
    request: Request,
    next: Next,
) -> Response {
    let route = route(request.uri().path());
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
    if let Some(code) = response.extensions().get::<RefusalCode>() {
        door.metrics.refusals.count([code.word()]);
    }
    let time = HeaderValue::from(unix_ms());
    response
        .headers_mut()
        .insert(HeaderName::from_static(header::TIME), time);
    response
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
