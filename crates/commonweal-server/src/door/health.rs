//! What operators and their machines ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use tokio::sync::Mutex;

use super::Door;
use super::connection::Peer;
use super::control::{Caller, Denied};
use crate::exchange::Presence;
use crate::metrics::Page;

/// Time for which an answer about the store is good: whoever asks more often costs no write.
const FRESH: Duration = Duration::from_secs(1);

/// The last answer about the store.
#[derive(Debug, Default)]
pub(super) struct Readiness(Mutex<Option<(Instant, Result<(), String>)>>);

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the store can be written, so that what is acknowledged is kept.
pub(super) async fn readyz(State(door): State<Arc<Door>>) -> Response {
    let mut last = door.readiness.0.lock().await;
    let ready = match &*last {
        Some((at, ready)) if at.elapsed() < FRESH => ready.clone(),
        _ => {
            let written = door.store.nodes().seen(&[]).await;
            let ready = written.map_err(|error| {
                tracing::error!(%error, "the server is not ready");
                "the store cannot be written; the server's log says why\n".to_owned()
            });
            *last = Some((Instant::now(), ready.clone()));
            ready
        }
    };
    match ready {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}

/// `GET /metrics`: for this machine, and for holders of a key.
pub(super) async fn metrics(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<String, Denied> {
    if !peer.address.is_loopback() {
        Caller::of(&door, &headers).await?;
    }
    let mut page = Page::default();
    counters(&door, &mut page);
    gauges(&door, &mut page);
    runs(&door, &mut page).await;
    Ok(page.into_text())
}

fn counters(door: &Door, page: &mut Page) {
    let metrics = &door.metrics;
    page.family(
        "commonweal_requests_total",
        "Requests by route and outcome.",
        ["route", "status"],
        &metrics.requests,
    );
    page.family(
        "commonweal_refusals_total",
        "Refused requests of nodes by reason.",
        ["reason"],
        &metrics.refusals,
    );
    page.family(
        "commonweal_connections_total",
        "Connections that ended, by how.",
        ["ending"],
        &metrics.connections,
    );
    page.counter(
        "commonweal_received_bytes_total",
        "Bytes that arrived, TLS included.",
        &metrics.received_bytes,
    );
    page.counter(
        "commonweal_sent_bytes_total",
        "Bytes that were sent, TLS included.",
        &metrics.sent_bytes,
    );
    page.counter(
        "commonweal_reports_total",
        "Reports that were folded.",
        &metrics.reports,
    );
    page.histogram(
        "commonweal_slot_wait_seconds",
        "Time that a report waited for memory.",
        &metrics.slot_wait,
    );
    page.histogram(
        "commonweal_report_seconds",
        "Time from a report's slot to its fold.",
        &metrics.report_time,
    );
    page.histogram(
        "commonweal_request_seconds",
        "Time of requests that do not wait for something.",
        &metrics.request_time,
    );
}

fn gauges(door: &Door, page: &mut Page) {
    page.gauge(
        "commonweal_connections",
        "Open connections.",
        door.visitors().here() as u64,
    );
    page.gauge(
        "commonweal_parked_polls",
        "Polls that wait for an instruction.",
        door.exchange.parked_polls() as u64,
    );
    page.gauge(
        "commonweal_staged_bytes",
        "Memory that reports on their way in have taken.",
        door.uploads.held_bytes(),
    );
    page.gauge(
        "commonweal_staged_bytes_limit",
        "Memory that they may take.",
        door.uploads.budget_bytes(),
    );
    page.gauge(
        "commonweal_staging_queue",
        "Reports that wait for memory.",
        door.uploads.queue() as u64,
    );
    nodes(door, page);
}

/// Nodes by presence, and those that are there by version.
fn nodes(door: &Door, page: &mut Page) {
    let mut presences = BTreeMap::<_, u64>::new();
    let mut versions = BTreeMap::<_, u64>::new();
    for name in door.register.keys().keys() {
        let presence = match door.exchange.presence(name) {
            Presence::Online { .. } => "online",
            Presence::Silent { .. } => "silent",
            Presence::Offline { .. } | Presence::Unknown => "offline",
        };
        *presences.entry(presence).or_default() += 1;
        if presence == "online"
            && let Some(statement) = door.exchange.statement(name)
        {
            *versions.entry(statement.version.clone()).or_default() += 1;
        }
    }
    let presences = presences.iter().map(|(word, count)| ([*word], *count));
    page.gauges(
        "commonweal_nodes",
        "Enrolled nodes by presence.",
        &["presence"],
        presences,
    );
    let versions = versions
        .iter()
        .map(|(word, count)| ([word.as_str()], *count));
    page.gauges(
        "commonweal_node_versions",
        "Nodes that are online, by version.",
        &["version"],
        versions,
    );
}

async fn runs(door: &Door, page: &mut Page) {
    let Ok(runs) = door.runs.list().await else {
        return;
    };
    let mut states = BTreeMap::<_, u64>::new();
    for run in &runs {
        let state = serde_json::to_value(run.state).unwrap_or_default();
        *states
            .entry(state.as_str().unwrap_or_default().to_owned())
            .or_default() += 1;
    }
    let states = states.iter().map(|(word, count)| ([word.as_str()], *count));
    page.gauges("commonweal_runs", "Runs by state.", &["state"], states);
    let open = runs.iter().filter(|run| !run.state.is_over());
    let rounds = open.clone().map(|run| ([run.id.as_str()], run.round));
    page.gauges(
        "commonweal_run_round",
        "Rounds that are over, of open runs.",
        &["run"],
        rounds,
    );
    let clients = open.map(|run| ([run.id.as_str()], run.nodes.unwrap_or_default()));
    page.gauges(
        "commonweal_run_clients",
        "Nodes of open runs.",
        &["run"],
        clients,
    );
}
