//! HTTP/1.1 over TLS at the least cost: one request at a time on a connection that is kept.
//!
//! Enough for this server and no general client: answers carry their length.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Handshakes at a time: as many as a server's queue of new connections takes without loss.
const HANDSHAKES: usize = 64;
/// Bytes of a body that are handed over at a time.
const PIECE: usize = 1 << 18;
/// Longest head of an answer.
const HEAD: usize = 1 << 14;
/// Room to read into while an answer is awaited: small, because thousands of connections wait.
const ROOM: usize = 512;

/// Makes connections to one server.
pub(super) struct Dialer {
    address: SocketAddr,
    name: ServerName<'static>,
    connector: TlsConnector,
    handshakes: Semaphore,
}

/// A connection.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    /// What was read beyond the last answer: nothing, since one request is made at a time.
    read: Vec<u8>,
}

/// How fast a body is sent, and how far.
#[derive(Clone, Copy)]
pub(super) enum Pace<'a> {
    /// As fast as the connection takes it.
    Full,
    /// At this many bytes a second, until told to hurry.
    Slow(u32, &'a Notify),
    /// As fast as it goes for this many bytes; then the connection is cut.
    Cut(usize),
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status of HTTP.
    pub(super) status: u16,
    /// The body.
    pub(super) body: Vec<u8>,
}

impl Dialer {
    pub(super) fn new(
        address: SocketAddr,
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
    ) -> Self {
        Self {
            address,
            name,
            connector: config.into(),
            handshakes: Semaphore::new(HANDSHAKES),
        }
    }

    /// A new connection.
    pub(super) async fn dial(&self) -> io::Result<Connection> {
        let _turn = self.handshakes.acquire().await.map_err(io::Error::other)?;
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.connector.connect(self.name.clone(), stream).await?;
        Ok(Connection {
            stream,
            read: Vec::new(),
        })
    }
}

impl Connection {
    /// Sends a request and waits for its answer.
    pub(super) async fn exchange(&mut self, head: String, body: &[u8]) -> io::Result<Answer> {
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await?;
        self.receive().await
    }

    /// Sends a long body; tells how many of its bytes were sent, and the answer unless the connection was
    /// to be cut. A server that answers before it has everything is listened to.
    pub(super) async fn upload(
        &mut self,
        head: &str,
        body: &[u8],
        pace: Pace<'_>,
    ) -> (usize, io::Result<Option<Answer>>) {
        if let Err(error) = self.stream.write_all(head.as_bytes()).await {
            return (0, Err(error));
        }
        let mut sent = 0;
        let outcome = self.send_body(body, pace, &mut sent).await;
        if let Pace::Cut(_) = pace
            && outcome.is_ok()
        {
            return (sent, Ok(None));
        }
        match (self.receive().await, outcome) {
            (Ok(answer), _) => (sent, Ok(Some(answer))),
            (Err(_), Err(error)) | (Err(error), Ok(())) => (sent, Err(error)),
        }
    }

    async fn send_body(&mut self, body: &[u8], pace: Pace<'_>, sent: &mut usize) -> io::Result<()> {
        let end = match pace {
            Pace::Cut(end) => end.min(body.len()),
            Pace::Full | Pace::Slow(..) => body.len(),
        };
        let mut is_slow = matches!(pace, Pace::Slow(..));
        let start = Instant::now();
        while *sent < end && !self.has_answer().await {
            let piece = &body[*sent..end.min(*sent + PIECE)];
            self.stream.write_all(piece).await?;
            *sent += piece.len();
            if let Pace::Slow(bytes_per_second, hurry) = pace
                && is_slow
            {
                self.stream.flush().await?;
                let due = Duration::from_secs_f64(*sent as f64 / f64::from(bytes_per_second));
                tokio::select! {
                    () = sleep_until(start + due) => {}
                    () = hurry.notified() => is_slow = false,
                }
            }
        }
        self.stream.flush().await
    }

    /// Whether an answer has begun to come: then nobody reads the rest of a body.
    async fn has_answer(&mut self) -> bool {
        let mut room = [0; ROOM];
        let mut room = ReadBuf::new(&mut room);
        let stream = &mut self.stream;
        let looked = poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_read(cx, &mut room)));
        let is_ready = looked.await.is_ready();
        self.read.extend_from_slice(room.filled());
        is_ready
    }

    /// Reads an answer whole.
    async fn receive(&mut self) -> io::Result<Answer> {
        let mut body = Vec::new();
        let status = self
            .read_answer(|piece| body.extend_from_slice(piece))
            .await?;
        Ok(Answer { status, body })
    }

    /// Sends a request without a body and gives the answer away piece by piece; returns its status.
    pub(super) async fn download(
        &mut self,
        head: &str,
        take: impl FnMut(&[u8]),
    ) -> io::Result<u16> {
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.flush().await?;
        self.read_answer(take).await
    }

    async fn read_answer(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<u16> {
        let (end, head) = loop {
            if let Some(end) = end_of_head(&self.read) {
                break (end, Head::parse(&self.read[..end])?);
            }
            if self.read.len() > HEAD {
                return Err(malformed());
            }
            self.fill(ROOM).await?;
        };
        self.read.drain(..end);
        let mut left = head.length;
        loop {
            let found = self.read.len().min(left);
            take(&self.read[..found]);
            self.read.drain(..found);
            left -= found;
            if left == 0 {
                break;
            }
            self.fill(left.min(PIECE)).await?;
        }
        // A connection that waits holds no memory for what it once read.
        self.read = Vec::new();
        Ok(head.status)
    }

    /// Reads at least a byte more, about `room` at most.
    async fn fill(&mut self, room: usize) -> io::Result<()> {
        self.read.reserve(room);
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let found = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    found.map(|at| at + 4)
}

/// What an answer's head says.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    length: usize,
}

impl Head {
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let mut lines = text.split("\r\n");
        let first = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let status = first.and_then(|rest| rest.get(..3)?.parse().ok());
        let mut length = Some(0);
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                length = None;
            }
        }
        match (status, length) {
            (Some(status), Some(length)) => Ok(Self { status, length }),
            _ => Err(malformed()),
        }
    }
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "an answer without a head of HTTP/1.1 and a length",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Option<Head> {
        Head::parse(text.as_bytes()).ok()
    }

    #[test]
    fn an_answer_has_the_length_that_it_says_or_none_at_all() {
        let ok = |length| {
            Some(Head {
                status: 200,
                length,
            })
        };
        assert_eq!(
            head("HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n"),
            ok(17)
        );
        assert_eq!(head("HTTP/1.1 200 OK\r\n\r\n"), ok(0));
        for text in [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 2",
            "",
        ] {
            assert_eq!(head(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_head_ends_behind_its_empty_line() {
        assert_eq!(end_of_head(b"HTTP/1.1 200 OK\r\n\r\nbody"), Some(19));
        assert_eq!(end_of_head(b"HTTP/1.1 200 OK\r\n\r"), None);
    }
}
