//! The accept loop.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::connection::{Hall, Peer};
use super::visitors::Admission;
use super::{Door, closed};

/// The wait for room, for a stranger's place or for a file.
const MOMENT: Duration = Duration::from_millis(10);

/// Time that requests in hand have for their end, once the server closes.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Serves connections until the server closes, and then what is in hand.
pub(super) async fn accept(door: Arc<Door>, listener: TcpListener, hall: Hall) {
    let mut connections = JoinSet::new();
    let mut closing = hall.closing.clone();
    loop {
        tokio::select! {
            () = closed(&mut closing) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, address)) => {
                    admit(&door, &hall, &mut connections, socket, address).await;
                }
                Err(error) => wait_out(&error).await,
            },
        }
    }
    drop(listener);
    let last = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_REQUESTS, last).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "closed before their requests were done"
        );
        connections.shutdown().await;
    }
}

/// Lets a connection in, as soon as there is room for a stranger of its address.
async fn admit(
    door: &Arc<Door>,
    hall: &Hall,
    connections: &mut JoinSet<()>,
    socket: TcpStream,
    address: SocketAddr,
) {
    let address = address.ip().to_canonical();
    loop {
        let now_ms = door.clock.passed_ms();
        let admission = door.visitors().admit(address, now_ms);
        match admission {
            Admission::In(number, pushed_out) => {
                let peer = Peer::new(address, number);
                let visit = Visit {
                    door: Arc::clone(door),
                    peer: peer.clone(),
                };
                let served = hall.clone().serve(socket, peer, pushed_out);
                connections.spawn(async move {
                    served.await;
                    drop(visit);
                });
                return;
            }
            Admission::Later => tokio::time::sleep(MOMENT).await,
            Admission::Full => {
                door.metrics.connections.count(["full"]);
                tracing::warn!(%address, "a connection was turned away: there are as many as the server takes");
                return;
            }
        }
    }
}

/// Most errors are a peer's that is gone again; without files left, all that helps is waiting.
async fn wait_out(error: &io::Error) {
    let is_peers = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    );
    if !is_peers {
        tracing::error!(%error, "no connection can be accepted: is the limit of open files reached (`ulimit -n`)?");
        tokio::time::sleep(10 * MOMENT).await;
    }
}

/// An open connection's place among the visitors.
struct Visit {
    door: Arc<Door>,
    peer: Peer,
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut visitors = self
            .door
            .visitors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        visitors.leave(self.peer.address, self.peer.number);
    }
}
