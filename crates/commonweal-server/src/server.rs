//! A server, from its start to its orderly end.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use commonweal_wire::ServerIdentity;
use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio_rustls::TlsAcceptor;

use crate::admin::{BackupError, sweep_backups};
use crate::authority::{Authority, AuthorityError};
use crate::config::{PublicUrl, ServerConfig};
use crate::door::{Door, DoorParts};
use crate::exchange::{Clock, Exchange, Hold, Uploads};
use crate::metrics::Metrics;
use crate::runs::{Runs, RunsConfig};
use crate::store::{NodeState, ServerLock, Store, StoreError};

/// Connections that wait to be accepted: what a whole federation makes when it comes back at once.
const BACKLOG: u32 = 4_096;

/// Time between two looks at the certificate.
const CERTIFICATE_TIME: Duration = Duration::from_secs(60 * 60);

/// What starts a server.
pub struct Server;

/// A server at work. Dropped without [`shutdown`](Self::shutdown), it stops as a killed one does: nothing that was
/// acknowledged is lost.
pub struct Running {
    address: SocketAddr,
    url: PublicUrl,
    identity: ServerIdentity,
    door: Arc<Door>,
    closing: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    /// Tasks that never end by themselves.
    _watches: JoinSet<()>,
    _lock: ServerLock,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot listen.
    #[error(
        "the server cannot listen at {address}: {source}. Is another server running there? `--listen ADDRESS:PORT` \
         chooses another place"
    )]
    Listen {
        /// Where it should.
        address: SocketAddr,
        /// The operating system's error.
        source: io::Error,
    },
    /// Certificates.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// What a killed backup has left cannot be removed.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The database or the blobs.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gives no randomness.
    #[error("the operating system gives no random bytes")]
    Entropy,
    /// The program's threads end.
    #[error("the program is ending")]
    Ending {
        /// What was being opened.
        folder: PathBuf,
    },
}

impl Server {
    /// Opens the data directory, goes on with every run that is not over, and serves.
    ///
    /// A port of 0 is chosen by the operating system: see [`Running::address`].
    ///
    /// # Errors
    /// [`StartError`], each with what to do.
    pub async fn start(mut config: ServerConfig) -> Result<Running, StartError> {
        let listener = listen(config.listen)?;
        config.listen = listener.local_addr().map_err(|source| StartError::Listen {
            address: config.listen,
            source,
        })?;
        let lock = ServerLock::take(&config.data_dir)?;
        let store = Store::open(&config.data_dir).await?;
        store.sweep().await?;
        sweep_backups(&config.data_dir)?;
        let authority = open_authority(config.clone()).await?;
        let tls = TlsAcceptor::from(authority.tls_config()?);
        let clock = Clock::start();
        let exchange = Exchange::new(mailbox()?, clock, Hold::default());
        for node in store.nodes().list().await? {
            if node.state == NodeState::Enrolled {
                exchange.remember(&node.name, node.seen_at_ms, node.statement);
            }
        }
        let driving = RunsConfig {
            retention: config.retention,
            ..RunsConfig::default()
        };
        let runs = Runs::start(store.clone(), exchange.clone(), driving).await?;
        let uploads = Uploads::new(config.staging_mb.saturating_mul(1_000_000), clock);
        let (closing, is_closing) = watch::channel(false);
        let door = Door::open(DoorParts {
            store,
            runs,
            exchange,
            uploads,
            metrics: Arc::default(),
            clock,
            approves: config.approve_nodes,
            connections: to_usize(config.connections),
            free_attempts: u32::try_from(config.joins_per_minute).unwrap_or(u32::MAX),
            requests_per_second: config.requests_per_second,
            submission_bytes: to_usize(config.largest_submission_mb.saturating_mul(1_000_000)),
            closing: is_closing,
        })
        .await?;
        tracing::info!(address = %config.listen, "the server listens");
        Ok(Running {
            address: config.listen,
            url: config.public_url(),
            identity: authority.identity().clone(),
            closing,
            accepting: tokio::spawn(Arc::clone(&door).serve(listener, tls)),
            _watches: watches(&door, Arc::new(authority), config),
            door,
            _lock: lock,
        })
    }
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How nodes reach it.
    #[must_use]
    pub fn url(&self) -> &PublicUrl {
        &self.url
    }

    /// How nodes know it.
    #[must_use]
    pub fn identity(&self) -> &ServerIdentity {
        &self.identity
    }

    /// Its store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.door.store
    }

    /// Its runs.
    #[must_use]
    pub fn runs(&self) -> &Runs {
        &self.door.runs
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.door.metrics
    }

    /// Ends the server: takes no connection, answers waiting polls, finishes the requests in hand for up to 10 s, and
    /// lets each run write what it has. Runs go on when the server starts again.
    pub async fn shutdown(self) {
        tracing::info!("the server ends");
        self.closing.send_replace(true);
        self.door.exchange.close();
        if self.accepting.await.is_err() {
            tracing::error!("the accept loop failed");
        }
        self.door.runs.close().await;
        self.door.note_seen().await;
        self.door.store.close().await;
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let open = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A restarted server takes its port back while old connections linger.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|source| StartError::Listen { address, source })
}

/// Makes keys perhaps: not on a thread that serves.
async fn open_authority(config: ServerConfig) -> Result<Authority, StartError> {
    let folder = config.data_dir.clone();
    let opened = spawn_blocking(move || Authority::open(&config, SystemTime::now()));
    let opened = opened.await.map_err(|_| StartError::Ending { folder })?;
    Ok(opened?)
}

/// A name that no other process's mailboxes have.
fn mailbox() -> Result<String, StartError> {
    let mut bytes = [0; 16];
    let drawn = SysRng.try_fill_bytes(&mut bytes);
    drawn.map_err(|_| StartError::Entropy)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What goes on beside the requests.
fn watches(door: &Arc<Door>, authority: Arc<Authority>, config: ServerConfig) -> JoinSet<()> {
    let mut watches = JoinSet::new();
    let exchange = door.exchange.clone();
    watches.spawn(async move { exchange.watch().await });
    let uploads = door.uploads.clone();
    watches.spawn(async move { uploads.watch().await });
    let watched = Arc::clone(door);
    watches.spawn(async move { watched.watch().await });
    let seen = Arc::clone(door);
    watches.spawn(async move { seen.write_seen().await });
    watches.spawn(renew(authority, config));
    watches
}

/// Renews the certificate when that is due: a server may run for years.
async fn renew(authority: Arc<Authority>, config: ServerConfig) {
    loop {
        tokio::time::sleep(CERTIFICATE_TIME).await;
        let (authority, config) = (Arc::clone(&authority), config.clone());
        let renewed = spawn_blocking(move || authority.renew(&config, SystemTime::now())).await;
        match renewed {
            Ok(Ok(true)) => tracing::info!("the certificate is renewed"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::error!(%error, "the certificate is not renewed"),
            Err(_) => return,
        }
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
