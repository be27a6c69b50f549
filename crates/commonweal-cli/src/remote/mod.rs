//! A server's control API, as a researcher's commands call it. Each call waits for its answer.

mod account;
mod error;
mod trust;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use commonweal_client::Trust;
use commonweal_wire::control::{
    self, ApiError, Events, Explanation, Identity, LogLines, NodeInfo, RunInfo, Submission,
};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

pub use account::Account;
pub use error::RemoteError;
pub use trust::{Presented, presented};

/// Time for a connection, and for an answer that nobody is made to wait for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than a server parks a poll for events.
const PARKED: Duration = Duration::from_secs(60);

/// A server and the key with which one is known to it.
#[derive(Debug)]
pub struct Remote {
    account: Account,
    http: Client,
    trust: Arc<Trust>,
    runtime: Runtime,
}

impl Remote {
    /// The server that `commonweal login` was told.
    ///
    /// # Errors
    /// [`RemoteError::NoLogin`]; an account that cannot be read.
    pub fn open() -> Result<Self, RemoteError> {
        Self::of(Account::read()?)
    }

    /// The server of this account. Nothing is sent yet.
    ///
    /// # Errors
    /// The operating system's, where it gives no runtime.
    pub fn of(account: Account) -> Result<Self, RemoteError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(RemoteError::Runtime)?;
        let (http, trust) = trust::client(&account.server, &account.url, PATIENCE)?;
        Ok(Self {
            account,
            http,
            trust,
            runtime,
        })
    }

    /// Whose key it is, and where.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Who the server thinks one is.
    ///
    /// # Errors
    /// [`RemoteError`], as of every call.
    pub fn identity(&self) -> Result<Identity, RemoteError> {
        self.wait(self.read(control::IDENTITY))
    }

    /// Hands a job in.
    ///
    /// # Errors
    /// [`RemoteError`], as of every call.
    pub fn submit(&self, submission: &Submission) -> Result<RunInfo, RemoteError> {
        self.wait(self.post(control::RUNS, submission))
    }

    /// All runs, newest first.
    ///
    /// # Errors
    /// [`RemoteError`], as of every call.
    pub fn runs(&self) -> Result<Vec<RunInfo>, RemoteError> {
        self.wait(self.read(control::RUNS))
    }

    /// One run.
    ///
    /// # Errors
    /// [`RemoteError`], as of every call.
    pub fn run(&self, id: &str) -> Result<RunInfo, RemoteError> {
        self.wait(self.read(&control::run(id)))
    }

    /// The nodes.
    ///
    /// # Errors
    /// [`RemoteError`], as of every call.
    pub fn nodes(&self) -> Result<Vec<NodeInfo>, RemoteError> {
        self.wait(self.read(control::NODES))
    }

    /// Why a run is waiting.
    ///
    /// # Errors
    /// [`RemoteError`], as of every call.
    pub fn explain(&self, id: &str) -> Result<Explanation, RemoteError> {
        self.wait(self.explanation(id))
    }

    /// Ends a run.
    ///
    /// # Errors
    /// [`RemoteError`], as of every call.
    pub fn cancel(&self, id: &str) -> Result<RunInfo, RemoteError> {
        self.wait(self.post(&control::cancel(id), &()))
    }

    /// Goes on with a run that was cancelled or failed.
    ///
    /// # Errors
    /// [`RemoteError`], as of every call.
    pub fn resume(&self, id: &str) -> Result<RunInfo, RemoteError> {
        self.wait(self.post(&control::resume(id), &()))
    }

    /// Lines of a run's log after line `after`.
    ///
    /// # Errors
    /// [`RemoteError`], as of every call.
    pub fn logs(&self, id: &str, after: u64) -> Result<LogLines, RemoteError> {
        self.wait(self.read(&control::logs(id, after)))
    }

    /// A file of a run; none if the run has none of that name.
    ///
    /// # Errors
    /// [`RemoteError`], as of every call.
    pub fn file(&self, id: &str, name: &str) -> Result<Option<Vec<u8>>, RemoteError> {
        self.wait(async {
            let answer = self.get(&control::file(id, name)).send().await;
            match self.accepted(answer).await {
                // A model takes as long as it takes: the connection's silence alone ends it.
                Ok(answer) => {
                    let bytes = answer.bytes().await;
                    bytes
                        .map(|bytes| Some(bytes.to_vec()))
                        .map_err(|error| self.unreachable(&error))
                }
                Err(RemoteError::Refused { error, .. }) if error.code == "unknown_file" => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// What happened in a run after event `after`; parks at the server until something did.
    pub(crate) async fn events(&self, id: &str, after: u64) -> Result<Events, RemoteError> {
        let request = self.get(&control::events(id, after)).timeout(PARKED);
        self.json(request).await
    }

    /// As [`Remote::explain`].
    pub(crate) async fn explanation(&self, id: &str) -> Result<Explanation, RemoteError> {
        self.read(&control::explain(id)).await
    }

    /// Runs `future` on this remote's runtime.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        self.json(self.get(path).timeout(PATIENCE)).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RemoteError> {
        self.json(self.request(Method::POST, path).json(body)).await
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.account.url);
        self.http
            .request(method, url)
            .bearer_auth(self.account.key.as_str())
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, RemoteError> {
        let answer = self.accepted(request.send().await).await?;
        let bytes = answer.bytes().await;
        let bytes = bytes.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| RemoteError::Answer {
            url: self.account.url.clone(),
            reason: error.to_string(),
        })
    }

    /// The answer, if it is no refusal.
    async fn accepted(
        &self,
        answer: Result<Response, reqwest::Error>,
    ) -> Result<Response, RemoteError> {
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let bytes = answer.bytes().await.unwrap_or_default();
        match serde_json::from_slice::<ApiError>(&bytes) {
            Ok(error) => Err(RemoteError::Refused { error }),
            Err(_) => Err(RemoteError::Answer {
                url: self.account.url.clone(),
                reason: format!("HTTP {status} without a reason"),
            }),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> RemoteError {
        match self.trust.take_refusal() {
            Some(unverified) => RemoteError::OtherServer(unverified),
            None => RemoteError::unreachable(&self.account.url, error),
        }
    }
}
