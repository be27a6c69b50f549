//! One connection: TLS, HTTP, and an end in good order.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::closed;
use super::stream::Stream;
use crate::metrics::Metrics;

/// Time in which a stranger makes itself known by a request that is allowed.
const STRANGER_TIME: Duration = Duration::from_secs(10);

/// Time between two requests, and for all headers of one.
const IDLE_TIME: Duration = Duration::from_secs(300);

/// Bytes of a request's headers, and of a body that are read ahead: a record of TLS. A connection that waits keeps
/// what it once needed.
const BUFFER_BYTES: usize = 16 << 10;

/// What is still read from a peer that was refused in the midst of its sending, so that the refusal reaches it.
const LINGER_BYTES: usize = 64 << 20;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 22;

/// What is said to those who do not speak TLS.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 75\r\n\
    connection: close\r\n\r\nThis port speaks HTTPS only: write https:// in front of the server's name.\n";

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// The connection's number among the visitors.
    pub(super) number: u64,
    is_known: Arc<AtomicBool>,
}

impl Peer {
    pub(super) fn new(address: IpAddr, number: u64) -> Self {
        Self {
            address,
            number,
            is_known: Arc::default(),
        }
    }

    /// True the first time.
    pub(super) fn become_known(&self) -> bool {
        !self.is_known.swap(true, Ordering::Relaxed)
    }
}

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Hall {
    pub(super) tls: TlsAcceptor,
    pub(super) router: Router,
    pub(super) metrics: Arc<Metrics>,
    pub(super) closing: watch::Receiver<bool>,
}

impl Hall {
    /// Serves a connection to its end, and counts how it ended.
    pub(super) async fn serve(
        self,
        socket: TcpStream,
        peer: Peer,
        pushed_out: oneshot::Receiver<()>,
    ) {
        let metrics = Arc::clone(&self.metrics);
        let ending = tokio::select! {
            ending = Box::pin(self.talk(socket, peer)) => ending,
            ending = stranger(pushed_out) => ending,
        };
        metrics.connections.count([ending]);
    }

    async fn talk(self, mut socket: TcpStream, peer: Peer) -> &'static str {
        // Without it, small answers wait for the acknowledgement of the ones before.
        let _ = socket.set_nodelay(true);
        let mut first = [0];
        match socket.peek(&mut first).await {
            Ok(1) if first[0] == HANDSHAKE => {}
            Ok(1) => {
                let _ = socket.write_all(PLAIN).await;
                linger(socket).await;
                return "plain_http";
            }
            _ => return "silent",
        }
        let stream = Stream::new(socket, Arc::clone(&self.metrics));
        // Boxed, because a future holds what moves through it once for each place: most connections wait for hours.
        match Box::pin(self.tls.accept(stream)).await.map(Box::new) {
            Ok(stream) => {
                Box::pin(self.http(stream, peer)).await;
                "served"
            }
            Err(error) => {
                tracing::debug!(address = %peer.address, %error, "no TLS connection came about");
                "handshake"
            }
        }
    }

    async fn http(mut self, stream: Box<TlsStream<Stream<TcpStream>>>, peer: Peer) {
        let service = Requests {
            router: TowerToHyperService::new(self.router),
            peer,
        };
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIME)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let mut is_closing = false;
        loop {
            tokio::select! {
                // How it ended does not matter: whoever waited for an answer has seen it.
                _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break,
                () = closed(&mut self.closing), if !is_closing => {
                    is_closing = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        }
        linger(connection.into_parts().io.into_inner()).await;
    }
}

/// Ends when the connection has been a stranger's for too long.
async fn stranger(pushed_out: oneshot::Receiver<()>) -> &'static str {
    match tokio::time::timeout(STRANGER_TIME, pushed_out).await {
        Ok(Ok(())) => "evicted",
        // It is known now.
        Ok(Err(_)) => std::future::pending().await,
        Err(_) => "overstayed",
    }
}

/// Closes a connection so that the peer can read the last answer even if it is still sending.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let rest = async {
        stream.shutdown().await?;
        let mut buffer = vec![0; 16 << 10];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match stream.read(&mut buffer).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    // A peer that is gone already needs no good order.
    let _ = tokio::time::timeout(LINGER_TIME, rest).await;
}

/// A connection's requests.
struct Requests {
    router: TowerToHyperService<Router>,
    peer: Peer,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer.clone());
        Box::pin(self.router.call(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_has_the_length_that_it_says() {
        let text = std::str::from_utf8(PLAIN).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
    }
}
