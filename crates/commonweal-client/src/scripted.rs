//! A server for tests: speaks the protocol over real TLS, checks every signature, and does what a test tells it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use commonweal_core::Digest;
use commonweal_wire::proto::{self, instruction::Kind};
use commonweal_wire::{
    FEDERATION_NAME, JoinString, PublicKey, RefusalCode, ServerIdentity, Signed, Token, path, read,
    refusal,
};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::clock::now_ms;

/// The server, which ends with the test.
pub(crate) struct Scripted {
    pub(crate) url: String,
    pub(crate) authority: Digest,
    /// The authority's certificate, as a site would keep a proxy's.
    pub(crate) authority_pem: String,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<Script>,
    /// Something was seen.
    seen: Condvar,
    /// Something was sent.
    sent: Notify,
}

/// What the server does, and what it has seen.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) mailbox: String,
    pending: Vec<proto::Instruction>,
    last: u64,
    /// Bytes by path.
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    /// Refused are the next requests whose path begins so.
    pub(crate) refusals: VecDeque<(&'static str, proto::Refusal)>,
    /// The server's clock minus the machine's.
    pub(crate) ahead_ms: i64,
    /// Breaks the next uploads after so many bytes.
    pub(crate) cuts: VecDeque<usize>,
    /// Breaks the next downloads after so many bytes.
    pub(crate) blob_cuts: VecDeque<usize>,
    /// Brings no more of the next downloads after so many bytes, and does not end them.
    pub(crate) blob_stalls: VecDeque<usize>,
    /// Bytes of all blobs that were given.
    pub(crate) downloaded: usize,
    pub(crate) accumulator: String,
    /// Bytes of the report that is being sent.
    staged: Vec<u8>,
    /// Reports by target, in the order in which they were counted.
    pub(crate) reports: Vec<(String, Vec<u8>)>,
    /// Bytes of all uploads.
    pub(crate) uploaded: usize,
    pub(crate) joins: Vec<proto::JoinRequest>,
    pub(crate) polls: Vec<proto::PollRequest>,
    pub(crate) verdicts: Vec<proto::Verdict>,
    pub(crate) failures: Vec<(String, proto::TaskFailure)>,
    pub(crate) has_left: bool,
    /// All bytes of all requests: lines, headers and bodies.
    pub(crate) heard: Vec<u8>,
    nonces: BTreeSet<[u8; 16]>,
    key: Option<PublicKey>,
}

/// Whose certificate the server shows.
pub(crate) enum Identity {
    /// A federation's.
    Federation,
    /// That of a proxy which looks into TLS.
    Proxy,
}

impl Scripted {
    /// A server of a federation of its own.
    pub(crate) fn start() -> Self {
        Self::start_as(&Identity::Federation)
    }

    pub(crate) fn start_as(identity: &Identity) -> Self {
        let (name, host) = match identity {
            Identity::Federation => ("Commonweal authority", FEDERATION_NAME),
            Identity::Proxy => ("ACME Inspection CA", "127.0.0.1"),
        };
        let (authority, authority_pem, acceptor) = tls(name, host);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let script = Script {
            mailbox: "first".to_owned(),
            accumulator: "sum-1".to_owned(),
            ..Script::default()
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(script),
            seen: Condvar::new(),
            sent: Notify::new(),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = crate::runtime::runtime().unwrap();
            runtime.block_on(serve(listener, acceptor, serving));
        });
        Self {
            url: format!("https://{address}"),
            authority,
            authority_pem,
            shared,
        }
    }

    /// An invitation to this server.
    pub(crate) fn invitation(&self) -> JoinString {
        JoinString {
            url: self.url.clone(),
            server: ServerIdentity::Authority(self.authority),
            token: Token::from_bytes([9; 32]),
            expires: 1 << 40,
        }
    }

    /// What it does and has seen.
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.state.lock().unwrap()
    }

    /// Puts an instruction into the mailbox.
    pub(crate) fn send(&self, kind: Kind) {
        let mut script = self.script();
        script.last += 1;
        let number = script.last;
        script.pending.push(proto::Instruction {
            number,
            kind: Some(kind),
        });
        drop(script);
        self.shared.sent.notify_waiters();
    }

    /// As after a restart: a new mailbox, and a new sum.
    pub(crate) fn restart(&self, accumulator: &str) {
        let mut script = self.script();
        script.mailbox.push('+');
        script.pending.clear();
        script.last = 0;
        script.staged.clear();
        script.accumulator = accumulator.to_owned();
        drop(script);
        self.shared.sent.notify_waiters();
    }

    /// Keeps bytes under their digest.
    pub(crate) fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.blob_as(&digest, bytes);
        digest
    }

    /// Keeps bytes under some digest.
    pub(crate) fn blob_as(&self, digest: &Digest, bytes: &[u8]) {
        self.script()
            .blobs
            .insert(path::blob(digest), bytes.to_vec());
    }

    /// Waits until `found` finds something in what was seen.
    pub(crate) fn wait<T>(&self, what: &str, found: impl Fn(&mut Script) -> Option<T>) -> T {
        let mut script = self.script();
        loop {
            if let Some(found) = found(&mut script) {
                return found;
            }
            let (next, timeout) = self
                .shared
                .seen
                .wait_timeout(script, Duration::from_secs(60))
                .unwrap();
            script = next;
            assert!(!timeout.timed_out(), "no {what} within a minute");
        }
    }
}

fn tls(name: &str, host: &str) -> (Digest, String, TlsAcceptor) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([host.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let root: CertificateDer<'static> = authority.der().clone();
    let digest = Digest::of(&root);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone(), root],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (digest, authority.pem(), TlsAcceptor::from(Arc::new(config)))
}

async fn serve(listener: std::net::TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = hyper::service::service_fn(|request| answer(&shared, request));
            let connection = hyper::server::conn::http1::Builder::new();
            // A connection that the test cuts ends with an error.
            let _ = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// The connection is cut.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

async fn answer(
    shared: &Shared,
    request: Request<Incoming>,
) -> Result<Response<Either<Full<Bytes>, Broken>>, Cut> {
    let method = request.method().as_str().to_owned();
    let target = request.uri().path_and_query().unwrap().to_string();
    let from = request.headers().get("range").map(|range| {
        let range = range.to_str().unwrap();
        let from = range.strip_prefix("bytes=").unwrap();
        from.trim_end_matches('-').parse::<usize>().unwrap()
    });
    let signed = Signed::read(|name| request.headers().get(name)?.to_str().ok()).unwrap();
    let mut line = format!("{method} {target}\n").into_bytes();
    for (name, value) in request.headers() {
        line.extend(format!("{name}: ").into_bytes());
        line.extend(value.as_bytes());
        line.push(b'\n');
    }
    shared.state.lock().unwrap().heard.extend(line);
    if let Some(refused) = refused(shared, &target, &signed) {
        let _ = request.into_body().collect().await;
        return Ok(refusal_of(&refused).map(Either::Left));
    }
    if method == "PUT" {
        let answer = put(shared, &target, &signed, request.into_body()).await?;
        return Ok(answer.map(Either::Left));
    }
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(|_| Cut)?
        .to_bytes();
    assert_eq!(signed.digest, Digest::of(&body), "the body's digest");
    if target == path::POLL {
        shared.admit(&signed, &method, &target, &body);
        let answer = poll(shared, read(&body).unwrap()).await;
        return Ok(answer.map(Either::Left));
    }
    let answer = shared.answer(&signed, &method, &target, &body, from);
    shared.seen.notify_all();
    Ok(shared.perhaps_broken(&target, answer, from.unwrap_or(0)))
}

/// The beginning of a blob, and then nothing.
struct Broken {
    first: Option<Bytes>,
    promised: u64,
    has_paused: bool,
    /// Nor an end.
    is_silent: bool,
}

impl hyper::body::Body for Broken {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Cut>>> {
        if let Some(first) = self.first.take() {
            return std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(first))));
        }
        if self.is_silent {
            return std::task::Poll::Pending;
        }
        if !std::mem::replace(&mut self.has_paused, true) {
            // What was given so far goes out while there is nothing more.
            context.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(Some(Err(Cut)))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.promised)
    }
}

impl Shared {
    /// Is sure of who asks.
    fn admit(&self, signed: &Signed, method: &str, target: &str, body: &[u8]) {
        let mut script = self.state.lock().unwrap();
        script.heard.extend(body);
        if target == path::JOIN {
            let request: proto::JoinRequest = read(body).unwrap();
            script.key = Some(PublicKey::try_from(&*request.public_key).unwrap());
            script.joins.push(request);
        }
        let key = script.key.unwrap();
        assert!(signed.is_by(&key, method, target), "the signature");
        assert!(script.nonces.insert(signed.nonce), "a nonce came twice");
    }

    fn perhaps_broken(
        &self,
        target: &str,
        answer: Response<Full<Bytes>>,
        from: usize,
    ) -> Response<Either<Full<Bytes>, Broken>> {
        let mut script = self.state.lock().unwrap();
        let Some(bytes) = script.blobs.get(target).map(|bytes| bytes[from..].to_vec()) else {
            return answer.map(Either::Left);
        };
        // A shorter blob than that is whole.
        let is_shorter = |cut: &usize| *cut < bytes.len();
        let stall = script.blob_stalls.pop_front_if(|cut| is_shorter(cut));
        let cut = stall.or_else(|| script.blob_cuts.pop_front_if(|cut| is_shorter(cut)));
        match cut {
            None => {
                script.downloaded += bytes.len();
                answer.map(Either::Left)
            }
            Some(cut) => {
                script.downloaded += cut;
                let promised = bytes.len() as u64;
                let first = Some(Bytes::copy_from_slice(&bytes[..cut]));
                let broken = Broken {
                    first,
                    promised,
                    has_paused: false,
                    is_silent: stall.is_some(),
                };
                answer.map(|_| Either::Right(broken))
            }
        }
    }

    fn answer(
        &self,
        signed: &Signed,
        method: &str,
        target: &str,
        body: &[u8],
        from: Option<usize>,
    ) -> Response<Full<Bytes>> {
        self.admit(signed, method, target, body);
        let mut script = self.state.lock().unwrap();
        match (method, target) {
            ("POST", path::JOIN) => message(&proto::JoinAnswer {
                name: script.joins.last().unwrap().name.clone(),
                waits_for_approval: false,
            }),
            ("POST", path::VERDICT) => {
                script.verdicts.push(read(body).unwrap());
                ok(Bytes::new())
            }
            ("POST", path::LEAVE) => {
                script.has_left = true;
                ok(Bytes::new())
            }
            ("POST", failure) if failure.contains("/failures/") => {
                let failure = (target.to_owned(), read(body).unwrap());
                script.failures.push(failure);
                ok(Bytes::new())
            }
            ("GET", blob) if blob.starts_with("/v1/blobs/") => match script.blobs.get(blob) {
                None => refusal_of(&refusal(RefusalCode::UnknownBlob, "no such blob", now_ms())),
                Some(bytes) => {
                    let from = from.unwrap_or(0);
                    let mut answer = ok(Bytes::copy_from_slice(&bytes[from..]));
                    if from > 0 {
                        *answer.status_mut() = hyper::StatusCode::PARTIAL_CONTENT;
                    }
                    answer
                }
            },
            ("GET", report) if report.contains("/reports/") => message(&proto::ReportState {
                accumulator: script.accumulator.clone(),
                offset: script.staged.len() as u64,
                counted: false,
            }),
            other => panic!("{other:?} is no request"),
        }
    }
}

/// The clock is looked at first, then what the test says.
fn refused(shared: &Shared, target: &str, signed: &Signed) -> Option<proto::Refusal> {
    let mut script = shared.state.lock().unwrap();
    let own = now_ms().saturating_add_signed(script.ahead_ms);
    if signed.time_ms.abs_diff(own) > commonweal_wire::CLOCK_WINDOW_MS {
        return Some(refusal(RefusalCode::Clock, "the clock is wrong", own));
    }
    let is_meant = script
        .refusals
        .front()
        .is_some_and(|(prefix, _)| target.starts_with(prefix));
    is_meant
        .then(|| script.refusals.pop_front())
        .flatten()
        .map(|(_, refusal)| refusal)
}

async fn poll(shared: &Shared, request: proto::PollRequest) -> Response<Full<Bytes>> {
    let mut is_first = true;
    loop {
        let sent = shared.sent.notified();
        {
            let mut script = shared.state.lock().unwrap();
            if is_first {
                script.polls.push(request.clone());
                if request.mailbox == script.mailbox {
                    script
                        .pending
                        .retain(|instruction| instruction.number > request.taken);
                }
                shared.seen.notify_all();
            }
            if !script.pending.is_empty() || !is_first || request.is_leaving {
                return message(&proto::PollAnswer {
                    mailbox: script.mailbox.clone(),
                    instructions: script.pending.clone(),
                    server_time_ms: now_ms(),
                });
            }
        }
        is_first = false;
        let _ = tokio::time::timeout(Duration::from_millis(500), sent).await;
    }
}

async fn put(
    shared: &Shared,
    target: &str,
    signed: &Signed,
    mut body: Incoming,
) -> Result<Response<Full<Bytes>>, Cut> {
    let (_, query) = target.split_once('?').unwrap();
    let number = |name: &str| -> usize {
        let part = query
            .split('&')
            .find_map(|part| part.strip_prefix(name))
            .unwrap();
        part.parse().unwrap()
    };
    let (offset, length) = (number("offset="), number("length="));
    let cut = {
        let mut script = shared.state.lock().unwrap();
        let key = script.key.unwrap();
        assert!(signed.is_by(&key, "PUT", target), "the signature");
        assert!(offset <= script.staged.len(), "bytes that the server holds");
        script.staged.truncate(offset);
        script.cuts.pop_front()
    };
    let mut taken = 0;
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(|_| Cut)?.into_data().unwrap_or_default();
        taken += data.len();
        let mut script = shared.state.lock().unwrap();
        script.uploaded += data.len();
        script.staged.extend(&data);
        script.heard.extend(&data);
        if cut.is_some_and(|cut| taken >= cut) {
            return Err(Cut);
        }
    }
    let mut script = shared.state.lock().unwrap();
    let report = std::mem::take(&mut script.staged);
    assert_eq!(report.len(), length, "the report's length");
    assert_eq!(Digest::of(&report), signed.digest, "the report's digest");
    let name = target.split_once('?').unwrap().0.to_owned();
    script.reports.push((name, report));
    let accumulator = script.accumulator.clone();
    drop(script);
    shared.seen.notify_all();
    Ok(message(&proto::ReportAnswer { accumulator }))
}

fn ok(body: Bytes) -> Response<Full<Bytes>> {
    Response::new(Full::new(body))
}

fn message(message: &impl prost::Message) -> Response<Full<Bytes>> {
    ok(message.encode_to_vec().into())
}

fn refusal_of(refusal: &proto::Refusal) -> Response<Full<Bytes>> {
    let mut answer = message(refusal);
    *answer.status_mut() = hyper::StatusCode::from_u16(refusal.code().status()).unwrap();
    answer
}
