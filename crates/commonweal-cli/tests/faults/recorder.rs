//! A proxy that ends TLS with the server's own certificate and keeps everything that passes, in clear.
//!
//! It stands between a node and its server as a hospital's proxy may: what a node says must survive that, too.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use commonweal_wire::FEDERATION_NAME;

/// A recording proxy on a port of its own. Ends with its value.
pub(crate) struct Recorder {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<u8>>>,
    received: Arc<Mutex<Vec<u8>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Recorder {
    /// Between nodes and the server at `target`, with the certificate in its data directory.
    pub(crate) fn start(target: SocketAddr, data: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (acceptor, connector) = (acceptor(data), connector(data));
        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::new(Mutex::new(Vec::new()));
        let tapes = (Arc::clone(&sent), Arc::clone(&received));
        runtime.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                let tapes = tapes.clone();
                tokio::spawn(async move {
                    // A connection that breaks is the nodes' business.
                    let _ = carry(near, target, &acceptor, &connector, tapes).await;
                });
            }
        });
        Self {
            address,
            sent,
            received,
            _runtime: runtime,
        }
    }

    /// Where to dial.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that nodes have sent.
    pub(crate) fn sent(&self) -> Vec<u8> {
        self.sent.lock().unwrap().clone()
    }

    /// Everything that nodes have received.
    pub(crate) fn received(&self) -> Vec<u8> {
        self.received.lock().unwrap().clone()
    }
}

type Tape = Arc<Mutex<Vec<u8>>>;

async fn carry(
    near: TcpStream,
    target: SocketAddr,
    acceptor: &TlsAcceptor,
    connector: &TlsConnector,
    (sent, received): (Tape, Tape),
) -> std::io::Result<()> {
    let near = acceptor.accept(near).await?;
    let far = TcpStream::connect(target).await?;
    let name = ServerName::try_from(FEDERATION_NAME).map_err(std::io::Error::other)?;
    let far = connector.connect(name, far).await?;
    let (near_read, near_write) = tokio::io::split(near);
    let (far_read, far_write) = tokio::io::split(far);
    tokio::select! {
        ended = tape(near_read, far_write, &sent) => ended,
        ended = tape(far_read, near_write, &received) => ended,
    }
}

async fn tape(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    tape: &Mutex<Vec<u8>>,
) -> std::io::Result<()> {
    let mut piece = vec![0; 16_384];
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        tape.lock().unwrap().extend(&piece[..read]);
        to.write_all(&piece[..read]).await?;
        to.flush().await?;
    }
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let certificates = CertificateDer::pem_file_iter(path).unwrap();
    certificates.map(Result::unwrap).collect()
}

fn acceptor(data: &Path) -> TlsAcceptor {
    let mut chain = certificates(&data.join("tls.pem"));
    chain.extend(certificates(&data.join("ca.pem")));
    let key = PrivateKeyDer::from_pem_file(data.join("tls.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn connector(data: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&data.join("ca.pem")) {
        roots.add(certificate).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}
