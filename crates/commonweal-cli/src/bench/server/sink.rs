//! A server that reads uploads over TLS and does nothing with them: what the machine allows at most.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::error::{LoadError, broken};
use super::tls;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 18;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A running sink. It has threads of its own, as the server has, and ends when it is dropped.
pub(super) struct Sink {
    /// Where it listens.
    pub(super) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Starts one with the certificate of this data directory.
    ///
    /// # Errors
    /// No certificate there, or no free port.
    pub(super) fn start(folder: &Path) -> Result<Self, LoadError> {
        let acceptor = TlsAcceptor::from(tls::server(folder)?);
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.map_err(broken("the sink"))?;
        listener.set_nonblocking(true).map_err(broken("the sink"))?;
        let address = listener.local_addr().map_err(broken("the sink"))?;
        let runtime = Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(broken("the sink"))?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    _ = accept(listener, acceptor) => {}
                }
            });
            runtime.shutdown_background();
        });
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A sink that panicked has shown it in what was measured.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener, acceptor: TlsAcceptor) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let acceptor = Arc::new(acceptor);
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = Arc::clone(&acceptor);
        tokio::spawn(async move {
            // The other end tells of a broken connection.
            let _ = swallow(stream, &acceptor).await;
        });
    }
}

/// Answers each request once its body is read.
async fn swallow(stream: TcpStream, acceptor: &TlsAcceptor) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut bytes = Vec::with_capacity(PIECE);
    loop {
        let body = loop {
            if let Some(body) = body_after_head(&bytes) {
                break body;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        let (end, mut left) = body;
        left = left.saturating_sub(bytes.len() - end);
        bytes.clear();
        while left > 0 {
            match stream.read_buf(&mut bytes).await? {
                0 => return Ok(()),
                read => left = left.saturating_sub(read),
            }
            bytes.clear();
        }
        stream.write_all(ANSWER).await?;
        stream.flush().await?;
    }
}

/// Where the body begins, and its length.
fn body_after_head(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let length = head
        .split("\r\n")
        .find_map(|line| line.strip_prefix("content-length: "))?;
    Some((end, length.parse().ok()?))
}
