//! A peer that speaks the node API by hand: signed or forged, whole or broken, with bytes of its own choice.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use commonweal_core::Digest;
use commonweal_wire::proto::{Refusal, RefusalCode};
use commonweal_wire::{FEDERATION_NAME, NodeKey, Nonce, Request, read};
use prost::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Longer than any poll is held: what takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A key, and a server to use it on.
pub(crate) struct Peer {
    server: SocketAddr,
    tls: Arc<ClientConfig>,
    key: NodeKey,
    /// How far its clock is from this machine's.
    pub(crate) skew_ms: i64,
    line: Option<Line>,
}

/// A signed request, to be sent as it is or spoiled first.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// One TLS connection.
pub(crate) struct Line(StreamOwned<ClientConnection, TcpStream>);

impl Peer {
    /// The holder of the key of this secret, who trusts the authority in `ca.pem`.
    pub(crate) fn new(server: SocketAddr, ca: &Path, secret: [u8; 32]) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            server,
            tls: Arc::new(config),
            key: NodeKey::from_secret(&secret),
            skew_ms: 0,
            line: None,
        }
    }

    pub(crate) fn key(&self) -> &NodeKey {
        &self.key
    }

    /// A new connection, with TLS.
    pub(crate) fn dial(&self) -> io::Result<Line> {
        let stream = TcpStream::connect(self.server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from(FEDERATION_NAME).unwrap();
        let session =
            ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Line(stream))
    }

    /// A request with this body, signed now.
    pub(crate) fn letter(&self, method: &str, target: &str, body: &[u8]) -> Letter {
        self.letter_of(method, target, body, Digest::of(body))
    }

    /// The same with the digest of something else, as of a report whose part the body is.
    pub(crate) fn letter_of(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
        digest: Digest,
    ) -> Letter {
        let request = Request {
            method,
            target,
            time_ms: now_ms().saturating_add_signed(self.skew_ms),
            nonce: nonce(),
            digest,
        };
        let headers = request.sign(&self.key).into_iter();
        Letter {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            body: body.to_vec(),
        }
    }

    /// Sends a letter on the open connection, or on a new one if there is none or it has ended.
    pub(crate) fn send(&mut self, letter: &Letter) -> io::Result<Answer> {
        if let Some(line) = &mut self.line
            && let Ok(answer) = line.exchange(letter)
        {
            return Ok(answer);
        }
        self.line = None;
        let mut line = self.dial()?;
        let answer = line.exchange(letter)?;
        if !answer.closes() {
            self.line = Some(line);
        }
        Ok(answer)
    }

    /// Signs and sends.
    pub(crate) fn ask(&mut self, method: &str, target: &str, body: &[u8]) -> Answer {
        let letter = self.letter(method, target, body);
        self.send(&letter).unwrap()
    }

    /// Posts a message and reads the answer's.
    pub(crate) fn post<M: Message + Default>(
        &mut self,
        target: &str,
        message: &impl Message,
    ) -> Result<M, RefusalCode> {
        self.ask("POST", target, &message.encode_to_vec()).message()
    }
}

impl Letter {
    /// The letter with another value of a header.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        for (key, old) in &mut self.headers {
            if key == name {
                value.clone_into(old);
            }
        }
        self
    }

    /// As it goes over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head(self.body.len() as u64);
        bytes.extend(&self.body);
        bytes
    }

    /// Everything before the body, which is said to be so long.
    pub(crate) fn head(&self, length: u64) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        head.push_str("host: federation.commonweal.internal\r\n");
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {length}\r\n\r\n"));
        head.into_bytes()
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }

    /// The message, or the code of the refusal.
    pub(crate) fn message<M: Message + Default>(&self) -> Result<M, RefusalCode> {
        match self.status {
            200..300 => Ok(read(&self.body).unwrap()),
            _ => Err(self.refusal().code()),
        }
    }

    /// The refusal that it must be, with the status of its code.
    pub(crate) fn refusal(&self) -> Refusal {
        let text = String::from_utf8_lossy(&self.body);
        let refusal: Refusal =
            read(&self.body).unwrap_or_else(|_| panic!("{}: {text:?}", self.status));
        assert_eq!(self.status, refusal.code().status(), "{refusal:?}");
        assert_ne!(refusal.code(), RefusalCode::Unspecified, "{refusal:?}");
        refusal
    }
}

impl Line {
    /// Sends a letter and waits for its answer.
    pub(crate) fn exchange(&mut self, letter: &Letter) -> io::Result<Answer> {
        // A server may answer and close before it has read a body that it refuses.
        let written = self.write(&letter.bytes());
        self.answer().or_else(|error| written.and(Err(error)))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()
    }

    /// Waits for an answer. A connection that ends without one is an error.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.byte()?);
        }
        let (status, headers) = head_of(&String::from_utf8_lossy(&head))?;
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        if let Some(length) = answer.header("content-length") {
            let mut body = vec![0; length.parse().map_err(io::Error::other)?];
            self.0.read_exact(&mut body)?;
            answer.body = body;
        } else if answer.header("transfer-encoding").is_some() {
            answer.body = self.chunks()?;
        }
        Ok(answer)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.text_line()?;
            let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
            let start = body.len();
            body.resize(start + size, 0);
            self.0.read_exact(&mut body[start..])?;
            self.text_line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn text_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.byte()?);
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).map_err(io::Error::other)
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.0.read_exact(&mut byte)?;
        Ok(byte[0])
    }
}

fn head_of(text: &str) -> io::Result<(u16, Vec<(String, String)>)> {
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status: {text:?}")))?;
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    Ok((status, headers.collect()))
}

pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64
}

/// One that this machine has not used before.
fn nonce() -> Nonce {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::SeqCst);
    let text = format!("{} {} {count}", std::process::id(), now_ms());
    let mut nonce = [0; 16];
    nonce.copy_from_slice(&Digest::of(text.as_bytes()).as_bytes()[..16]);
    nonce
}
