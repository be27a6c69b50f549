//! The door: TLS, HTTP, who may ask what, and the way of each request to runs and store.

mod asked;
mod attempts;
mod blob;
mod budget;
mod connection;
mod control;
mod health;
mod join;
mod listener;
mod node;
mod observe;
mod refused;
mod register;
mod replay;
mod report;
mod stream;
mod visitors;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use commonweal_wire::{KeyId, RefusalCode, Signed, control as api, path};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use attempts::Attempts;
use budget::Budgets;
use connection::{Hall, Peer};
use refused::Refused;
use register::Register;
use replay::Replays;
use visitors::Visitors;

use crate::exchange::{Clock, Exchange, Uploads, unix_ms};
use crate::metrics::Metrics;
use crate::runs::Runs;
use crate::store::{Stamp, Store, StoreError};

/// How often the store is asked whether another process has written.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is written down when nodes were last seen.
const WRITE_SEEN_EVERY: Duration = Duration::from_secs(300);

/// Everything behind the door.
pub(crate) struct Door {
    pub(crate) store: Store,
    pub(crate) runs: Runs,
    pub(crate) exchange: Exchange,
    pub(crate) uploads: Uploads,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    /// Whether an administrator approves each node's key.
    pub(crate) approves: bool,
    pub(crate) submission_bytes: usize,
    /// Turns true when the server ends.
    pub(crate) closing: watch::Receiver<bool>,
    register: Register,
    replays: Mutex<Replays>,
    attempts: Mutex<Attempts>,
    budgets: Mutex<Budgets>,
    visitors: Mutex<Visitors>,
    readiness: health::Readiness,
    refusals_logged: observe::Gate,
}

/// What a door is made of.
pub(crate) struct DoorParts {
    pub(crate) store: Store,
    pub(crate) runs: Runs,
    pub(crate) exchange: Exchange,
    pub(crate) uploads: Uploads,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    pub(crate) approves: bool,
    pub(crate) connections: usize,
    /// Failed attempts to join that an address has before it has to wait.
    pub(crate) free_attempts: u32,
    /// Requests that a node has in a second.
    pub(crate) requests_per_second: u64,
    /// The largest submission.
    pub(crate) submission_bytes: usize,
    pub(crate) closing: watch::Receiver<bool>,
}

impl Door {
    /// Reads who is known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn open(parts: DoorParts) -> Result<Arc<Self>, StoreError> {
        let door = Self {
            store: parts.store,
            runs: parts.runs,
            exchange: parts.exchange,
            uploads: parts.uploads,
            metrics: parts.metrics,
            clock: parts.clock,
            approves: parts.approves,
            submission_bytes: parts.submission_bytes,
            closing: parts.closing,
            register: Register::default(),
            replays: Mutex::new(Replays::new(unix_ms())),
            attempts: Mutex::new(Attempts::new(parts.free_attempts)),
            budgets: Mutex::new(Budgets::new(parts.requests_per_second)),
            visitors: Mutex::new(Visitors::new(parts.connections)),
            readiness: health::Readiness::default(),
            refusals_logged: observe::Gate::default(),
        };
        door.register.load(&door.store).await?;
        Ok(Arc::new(door))
    }

    /// Serves until the server closes, then what is in hand.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, tls: TlsAcceptor) {
        let hall = Hall {
            tls,
            router: router(Arc::clone(&self)),
            metrics: Arc::clone(&self.metrics),
            closing: self.closing.clone(),
        };
        listener::accept(self, listener, hall).await;
    }

    /// Looks for what other processes have written, forgets what is too old. Ends never: the server's task.
    pub(crate) async fn watch(&self) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let mut stamp = None;
        loop {
            looks.tick().await;
            if let Err(error) = self.look(&mut stamp).await {
                tracing::error!(%error, "the store cannot be read");
            }
            self.replays().forget_old(unix_ms());
            self.budgets().forget_rested(self.clock.passed_us());
        }
    }

    /// Writes down now and then when nodes were last seen. Ends never: the server's task.
    pub(crate) async fn write_seen(&self) {
        let mut turns = tokio::time::interval(WRITE_SEEN_EVERY);
        turns.tick().await;
        loop {
            turns.tick().await;
            self.note_seen().await;
        }
    }

    /// Writes down when nodes were last seen.
    pub(crate) async fn note_seen(&self) {
        let keys = self.register.keys();
        let heard = self.exchange.heard();
        let seen = heard
            .iter()
            .filter_map(|(name, ms)| Some((*keys.get(name)?, *ms)));
        let seen: Vec<_> = seen.collect();
        if let Err(error) = self.store.nodes().seen(&seen).await {
            tracing::error!(%error, "when nodes were seen was not written down");
        }
    }

    async fn look(&self, known: &mut Option<Stamp>) -> Result<(), StoreError> {
        let stamp = self.store.stamp().await?;
        if *known != Some(stamp) {
            for name in self.register.load(&self.store).await? {
                tracing::info!(node = %name, "the node is enrolled no more");
                self.exchange.remove(&name);
            }
            *known = Some(stamp);
        }
        Ok(())
    }

    /// Notes a signed request, so that it is not taken twice.
    fn note(&self, signed: &Signed) -> Result<(), Refused> {
        let noted = self
            .replays()
            .note(signed.node, signed.time_ms, signed.nonce);
        noted.map_err(|code| {
            let message = match code {
                RefusalCode::Replayed => "the request was made before: sign a new one",
                _ => "the request is older than what the server remembers: sign a new one by the server's time",
            };
            Refused::new(code, message)
        })
    }

    /// Refuses the holder of a key who has asked more than it may.
    fn refuse_spendthrift(&self, key: &KeyId) -> Result<(), Refused> {
        match self.budgets().is_spent(key, self.clock.passed_us()) {
            false => Ok(()),
            true => Err(Refused::new(
                RefusalCode::TooMany,
                "too many requests by this node: wait, and for longer each time",
            )),
        }
    }

    /// The connection is no stranger's.
    fn know(&self, peer: &Peer) {
        if peer.become_known() {
            self.visitors().know(peer.address, peer.number);
        }
    }

    fn replays(&self) -> MutexGuard<'_, Replays> {
        self.replays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn budgets(&self) -> MutexGuard<'_, Budgets> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn visitors(&self) -> MutexGuard<'_, Visitors> {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn router(door: Arc<Door>) -> Router {
    let run = format!("{}/{{run}}", api::RUNS);
    let part = |part: &str| format!("{run}/{part}");
    Router::new()
        .route(path::JOIN, post(join::join))
        .route(path::POLL, post(node::poll))
        .route(path::VERDICT, post(node::verdict))
        .route(path::LEAVE, post(node::leave))
        .route("/v1/blobs/{digest}", get(blob::blob))
        .route("/v1/runs/{run}/failures/{task}", post(node::failure))
        .route(
            "/v1/runs/{run}/reports/{task}/{step}",
            get(report::state).put(report::receive),
        )
        .route(api::RUNS, get(control::list).post(control::submit))
        .route(api::NODES, get(control::nodes))
        .route(api::IDENTITY, get(control::identity))
        .route(&run, get(control::info))
        .route(&part("events"), get(control::events))
        .route(&part("logs"), get(control::logs))
        .route(&part("explain"), get(control::explain))
        .route(&part("cancel"), post(control::cancel))
        .route(&part("resume"), post(control::resume))
        .route(&part("files/{name}"), get(control::file))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&door),
            observe::observe,
        ))
        .with_state(door)
}

/// Ends when the server does.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // Without its sender the server has ended already.
    let _ = closing.wait_for(|is_closing| *is_closing).await;
}

fn unknown() -> impl Future<Output = Refused> + Send + 'static {
    std::future::ready(Refused::malformed(
        "the server has nothing at this path for this method",
    ))
}
