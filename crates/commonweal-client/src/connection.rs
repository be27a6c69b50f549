//! Signed requests to the server, over TLS, through the site's proxy if there is one.
//!
//! One call is one attempt; whoever calls knows whether and when to try again. Only a wrong clock is mended here: the
//! server says what time it is, and the request is made again with that.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use commonweal_core::Digest;
use commonweal_wire::{MessageError, NodeKey, RefusalCode, Request, proto, read};
use prost::Message;
use rand::TryRng as _;
use rand::rngs::SysRng;
use reqwest::{Method, Response, StatusCode};

use crate::clock::now_ms;
use crate::trust::{Trust, TrustError, Unverified};

/// The way to one server with one key.
#[derive(Debug)]
pub(crate) struct Connection {
    http: reqwest::Client,
    url: String,
    key: NodeKey,
    trust: Arc<Trust>,
    /// The server's clock minus this machine's, in milliseconds; zero until the server complains.
    ahead_ms: AtomicI64,
}

/// Why a call had no success.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server refuses.
    #[error("the server refuses ({}): {message}", code.word())]
    Refused {
        /// The code.
        code: RefusalCode,
        /// The server's sentence.
        message: String,
        /// The server's time.
        server_time_ms: u64,
        /// Where to go on, for some codes.
        offset: u64,
    },
    /// The server is not the one that was joined.
    #[error(transparent)]
    Unverified(#[from] Unverified),
    /// No connection, or it broke.
    #[error("{url} cannot be reached: {what}")]
    Unreachable {
        /// The address.
        url: String,
        /// What the network says.
        what: String,
    },
    /// An answer that is none.
    #[error("the answer of {url} is no Commonweal server's ({what}): is a proxy in between?")]
    Answer {
        /// The address.
        url: String,
        /// What came.
        what: String,
    },
    /// The bytes of a blob are not those of its digest.
    #[error("the server sent other bytes than those of {digest}")]
    OtherBytes {
        /// What was asked for.
        digest: Digest,
    },
    /// More bytes than what was asked for can have.
    #[error("{url} sent more than the {longest} bytes that were asked for")]
    TooLong {
        /// The address.
        url: String,
        /// Most bytes that there may be.
        longest: usize,
    },
    /// No randomness for a nonce.
    #[error("the operating system gives no random bytes")]
    NoEntropy,
}

impl CallError {
    /// Whether the same call may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Refused { code, .. } => {
                code.is_passing()
                    || matches!(code, RefusalCode::Replayed | RefusalCode::Unspecified)
            }
            Self::Unverified(_)
            | Self::Unreachable { .. }
            | Self::Answer { .. }
            | Self::NoEntropy => true,
            Self::OtherBytes { .. } | Self::TooLong { .. } => false,
        }
    }

    /// Whether the server knows this key no more.
    pub(crate) fn is_unknown_here(&self) -> bool {
        matches!(
            self.code(),
            Some(RefusalCode::UnknownNode | RefusalCode::Revoked)
        )
    }

    /// The refusal's code, if it is one.
    pub(crate) fn code(&self) -> Option<RefusalCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// Longest answer that is a message.
const LONGEST_MESSAGE: usize = 16 << 20;

/// How long an ordinary call may take.
pub(crate) const CALL: Duration = Duration::from_secs(30);

impl Connection {
    /// The way to `url`, which is known by `trust`. No connection is made yet.
    pub(crate) fn new(url: &str, trust: Arc<Trust>, key: NodeKey) -> Result<Self, TrustError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(trust.config()?)
            .https_only(true)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(Duration::from_secs(20))
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(20))
            .user_agent(concat!("commonweal/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| TrustError::Setup {
                what: causes(&error),
            })?;
        Ok(Self {
            http,
            url: url.to_owned(),
            key,
            trust,
            ahead_ms: AtomicI64::new(0),
        })
    }

    /// The node's key.
    pub(crate) fn key(&self) -> &NodeKey {
        &self.key
    }

    /// The server's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The server's clock minus this machine's, in milliseconds; 0 where the server never complained.
    pub(crate) fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }

    /// Posts a message and reads the answer.
    pub(crate) async fn post<A: Message + Default>(
        &self,
        target: &str,
        message: &impl Message,
        patience: Duration,
    ) -> Result<A, CallError> {
        let body = Bytes::from(message.encode_to_vec());
        let call = async {
            let answer = self.send(Method::POST, target, body, None, None).await?;
            self.message(answer).await
        };
        self.within(patience, call).await
    }

    /// Posts a message whose answer says nothing.
    pub(crate) async fn post_message(
        &self,
        target: &str,
        message: &impl Message,
        patience: Duration,
    ) -> Result<(), CallError> {
        let body = Bytes::from(message.encode_to_vec());
        let call = async {
            let mut answer = self.send(Method::POST, target, body, None, None).await?;
            self.short_body(&mut answer).await.map(drop)
        };
        self.within(patience, call).await
    }

    /// Posts nothing and expects nothing.
    pub(crate) async fn post_empty(
        &self,
        target: &str,
        patience: Duration,
    ) -> Result<(), CallError> {
        self.post_message(target, &(), patience).await
    }

    /// Gets a message.
    pub(crate) async fn get<A: Message + Default>(&self, target: &str) -> Result<A, CallError> {
        let call = async {
            let answer = self
                .send(Method::GET, target, Bytes::new(), None, None)
                .await?;
            self.message(answer).await
        };
        self.within(CALL, call).await
    }

    /// Puts a part of a report whose whole has `digest`. Waits for as long as the server lets it.
    pub(crate) async fn put<A: Message + Default>(
        &self,
        target: &str,
        part: Bytes,
        digest: Digest,
    ) -> Result<A, CallError> {
        let answer = self
            .send(Method::PUT, target, part, Some(digest), None)
            .await?;
        self.message(answer).await
    }

    /// Gets the bytes after those that are `held`, at most `longest` in all. A connection that broke, or brought
    /// nothing for as long as `silence`, leaves what came.
    pub(crate) async fn get_bytes(
        &self,
        target: &str,
        held: &mut BytesMut,
        longest: usize,
        silence: Duration,
    ) -> Result<(), CallError> {
        let from = (!held.is_empty()).then_some(held.len());
        let call = self.send(Method::GET, target, Bytes::new(), None, from);
        let mut answer = self.within(silence, call).await?;
        if from.is_some() && answer.status() != StatusCode::PARTIAL_CONTENT {
            held.clear();
        }
        while let Some(chunk) = self.within(silence, self.chunk(&mut answer)).await? {
            if held.len() + chunk.len() > longest {
                return Err(CallError::TooLong {
                    url: self.url.clone(),
                    longest,
                });
            }
            held.extend_from_slice(&chunk);
        }
        Ok(())
    }

    /// Who waited for an answer knows better: the connection that it was to come by is gone.
    pub(crate) fn lost(&self) -> CallError {
        CallError::Unreachable {
            url: self.url.clone(),
            what: "the connection was lost".to_owned(),
        }
    }

    async fn within<T>(
        &self,
        patience: Duration,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let late = |_| CallError::Unreachable {
            url: self.url.clone(),
            what: format!("no answer within {} s", patience.as_secs()),
        };
        tokio::time::timeout(patience, call).await.map_err(late)?
    }

    /// One signed request; a second one if the clock was wrong.
    async fn send(
        &self,
        method: Method,
        target: &str,
        body: Bytes,
        digest: Option<Digest>,
        from: Option<usize>,
    ) -> Result<Response, CallError> {
        let digest = digest.unwrap_or_else(|| Digest::of(&body));
        let first = self
            .attempt(&method, target, body.clone(), digest, from)
            .await;
        let Err(CallError::Refused {
            code: RefusalCode::Clock,
            server_time_ms,
            ..
        }) = first
        else {
            return first;
        };
        self.learn_clock(server_time_ms);
        self.attempt(&method, target, body, digest, from).await
    }

    async fn attempt(
        &self,
        method: &Method,
        target: &str,
        body: Bytes,
        digest: Digest,
        from: Option<usize>,
    ) -> Result<Response, CallError> {
        let mut nonce = [0; 16];
        SysRng
            .try_fill_bytes(&mut nonce)
            .map_err(|_| CallError::NoEntropy)?;
        let signed = Request {
            method: method.as_str(),
            target,
            time_ms: now_ms().saturating_add_signed(self.ahead_ms()),
            nonce,
            digest,
        };
        let url = format!("{}{target}", self.url);
        let mut request = self.http.request(method.clone(), url);
        for (name, value) in signed.sign(&self.key) {
            request = request.header(name, value);
        }
        if let Some(from) = from {
            request = request.header("range", format!("bytes={from}-"));
        }
        let answer = request.body(body).send().await;
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(self.refusal(answer).await),
        }
    }

    fn learn_clock(&self, server_time_ms: u64) {
        let own = i64::try_from(now_ms()).unwrap_or(i64::MAX);
        let ahead = i64::try_from(server_time_ms)
            .unwrap_or(i64::MAX)
            .saturating_sub(own);
        self.ahead_ms.store(ahead, Ordering::Relaxed);
        let seconds = ahead.unsigned_abs() / 1000;
        let way = if ahead < 0 { "ahead of" } else { "behind" };
        tracing::warn!(
            "this machine's clock is {seconds} s {way} the server's; requests carry the server's time, but set the clock"
        );
    }

    async fn message<A: Message + Default>(&self, mut answer: Response) -> Result<A, CallError> {
        let bytes = self.short_body(&mut answer).await?;
        read(&bytes).map_err(|error: MessageError| self.answer_error(error.to_string()))
    }

    async fn short_body(&self, answer: &mut Response) -> Result<BytesMut, CallError> {
        let mut bytes = BytesMut::new();
        while let Some(chunk) = self.chunk(answer).await? {
            if bytes.len() + chunk.len() > LONGEST_MESSAGE {
                return Err(self.answer_error("too long".to_owned()));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    async fn chunk(&self, answer: &mut Response) -> Result<Option<Bytes>, CallError> {
        answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))
    }

    async fn refusal(&self, mut answer: Response) -> CallError {
        let status = answer.status();
        let body = match self.short_body(&mut answer).await {
            Ok(body) => body,
            Err(error) => return error,
        };
        match read::<proto::Refusal>(&body) {
            Ok(refusal) if refusal.code().status() == status.as_u16() => CallError::Refused {
                code: refusal.code(),
                message: refusal.message,
                server_time_ms: refusal.server_time_ms,
                offset: refusal.offset,
            },
            _ => self.answer_error(format!("status {}", status.as_u16())),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> CallError {
        match self.trust.take_refusal() {
            Some(unverified) => unverified.into(),
            None => CallError::Unreachable {
                url: self.url.clone(),
                what: causes(error),
            },
        }
    }

    fn answer_error(&self, what: String) -> CallError {
        CallError::Answer {
            url: self.url.clone(),
            what,
        }
    }
}

/// What an error and those below it say, the last first to be of use.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(below) = last.source() {
        last = below;
    }
    last.to_string()
}
