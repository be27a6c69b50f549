//! A client in plain sight: it writes each request byte by byte, so that it can also write wrong ones.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use commonweal_core::Digest;
use commonweal_wire::{FEDERATION_NAME, NodeKey, RefusalCode, Request, path, proto};
use prost::Message;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::house::House;

/// A connection over TLS.
pub(crate) type Connection = TlsStream<TcpStream>;

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The code of a refusal.
    pub(crate) fn refusal(&self) -> RefusalCode {
        let refusal = self.refused();
        assert_eq!(self.status, refusal.code().status(), "{refusal:?}");
        refusal.code()
    }

    pub(crate) fn refused(&self) -> proto::Refusal {
        assert!(self.status >= 400, "not refused: {}", self.head);
        proto::Refusal::decode(&self.body[..]).unwrap()
    }

    pub(crate) fn message<M: Message + Default>(&self) -> M {
        assert_eq!(
            self.status,
            200,
            "{:?}",
            proto::Refusal::decode(&self.body[..])
        );
        M::decode(&self.body[..]).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// A node's key, and where its server is.
pub(crate) struct Node {
    pub(crate) key: NodeKey,
    pub(crate) name: String,
    /// The server's mailbox, and the last instruction taken from it.
    pub(crate) taken: Mutex<(String, u64)>,
    tls: TlsConnector,
    address: std::net::SocketAddr,
}

impl Node {
    pub(crate) fn new(house: &House, secret: u8) -> Self {
        Self {
            key: NodeKey::from_secret(&[secret; 32]),
            name: format!("node-{secret}"),
            taken: Mutex::default(),
            tls: tls(house),
            address: house.running.address(),
        }
    }

    pub(crate) async fn connect(&self) -> Connection {
        connect(&self.tls, self.address).await
    }

    /// The headers of a request made now.
    pub(crate) fn sign(&self, method: &str, target: &str, digest: Digest) -> String {
        self.sign_at(now_ms(), method, target, digest)
    }

    pub(crate) fn sign_at(
        &self,
        time_ms: u64,
        method: &str,
        target: &str,
        digest: Digest,
    ) -> String {
        static NONCES: AtomicU64 = AtomicU64::new(0);
        let mut nonce = [0; 16];
        let number = NONCES.fetch_add(1, Ordering::Relaxed);
        nonce[..8].copy_from_slice(&number.to_le_bytes());
        let request = Request {
            method,
            target,
            time_ms,
            nonce,
            digest,
        };
        lines(&request.sign(&self.key))
    }

    /// Asks over a connection of its own.
    pub(crate) async fn ask(&self, method: &str, target: &str, body: &[u8]) -> Reply {
        let headers = self.sign(method, target, Digest::of(body));
        let mut connection = self.connect().await;
        ask(&mut connection, method, target, &headers, body).await
    }

    /// Whether the server serves it: it hears that there is no such blob.
    pub(crate) async fn is_served(&self) -> bool {
        let target = path::blob(&Digest::of(b"nothing"));
        self.ask("GET", &target, b"").await.refusal() == RefusalCode::UnknownBlob
    }

    pub(crate) async fn post<M: Message>(&self, target: &str, message: &M) -> Reply {
        self.ask("POST", target, &message.encode_to_vec()).await
    }
}

pub(crate) fn lines(headers: &[(&'static str, String)]) -> String {
    let lines = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    lines.collect()
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// TLS that trusts the house's authority alone.
pub(crate) fn tls(house: &House) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(house.folder.path().join("ca.pem")).unwrap();
    roots.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

pub(crate) async fn connect(tls: &TlsConnector, address: std::net::SocketAddr) -> Connection {
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(FEDERATION_NAME).unwrap();
    tls.connect(name, socket).await.unwrap()
}

/// The head of a request with a body of that length.
pub(crate) fn head(method: &str, target: &str, headers: &str, length: usize) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n{headers}\r\n")
}

pub(crate) async fn ask(
    connection: &mut Connection,
    method: &str,
    target: &str,
    headers: &str,
    body: &[u8],
) -> Reply {
    let head = head(method, target, headers, body.len());
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(body).await.unwrap();
    connection.flush().await.unwrap();
    reply(connection).await
}

/// Reads one answer, which says its length.
pub(crate) async fn reply(connection: &mut (impl AsyncRead + Unpin)) -> Reply {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let read = connection.read_buf(&mut bytes).await.unwrap();
        assert!(
            read > 0,
            "no answer but {:?}",
            String::from_utf8_lossy(&bytes)
        );
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut reply = Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: bytes.split_off(end),
    };
    let length: usize = reply.header("content-length").unwrap().parse().unwrap();
    while reply.body.len() < length {
        let read = connection.read_buf(&mut reply.body).await.unwrap();
        assert!(read > 0, "the answer breaks off");
    }
    reply
}
