//! How a researcher knows a server: as nodes do, by the federation's authority or a name that the machine's roots vouch for.

use std::sync::Arc;
use std::time::Duration;

use commonweal_client::{Trust, Unverified};
use commonweal_core::Digest;
use commonweal_wire::ServerIdentity;
use commonweal_wire::control;
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::runtime::Builder;

use super::error::{RemoteError, causes};

/// Who answers at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    /// A federation of its own authority, of this fingerprint.
    Authority(Digest),
    /// A server whose certificate this machine's roots vouch for, made out to this name.
    Name(String),
}

impl Presented {
    /// What to know the server by from now on.
    #[must_use]
    pub fn identity(self) -> ServerIdentity {
        match self {
            Self::Authority(digest) => ServerIdentity::Authority(digest),
            Self::Name(name) => ServerIdentity::Name(name),
        }
    }
}

/// HTTP to the server at `url` and to no other.
pub(super) fn client(
    server: &ServerIdentity,
    url: &str,
    patience: Duration,
) -> Result<(Client, Arc<Trust>), RemoteError> {
    let tls = |reason: String| RemoteError::Tls { reason };
    let trust = Trust::new(server.clone(), url, None).map_err(|error| tls(error.to_string()))?;
    let config = trust.config().map_err(|error| tls(error.to_string()))?;
    let mut builder = Client::builder()
        .tls_backend_preconfigured(config)
        .https_only(true)
        .http1_only()
        .redirect(Policy::none())
        .connect_timeout(patience)
        .read_timeout(2 * patience)
        .tcp_nodelay(true)
        .user_agent(concat!("commonweal/", env!("CARGO_PKG_VERSION")));
    if is_loopback(trust.host()) {
        builder = builder.no_proxy();
    }
    let client = builder.build().map_err(|error| tls(causes(&error)))?;
    Ok((client, trust))
}

/// Asks who answers at `url`, and believes nothing: the certificate alone is looked at.
///
/// # Errors
/// [`RemoteError`]: nobody answers, or nobody who has a certificate that could be known again.
pub fn presented(url: &str, patience: Duration) -> Result<Presented, RemoteError> {
    // No authority has this fingerprint: whatever comes is refused, and told.
    let nobody = ServerIdentity::Authority(Digest::of(b""));
    let host = match refusal(&nobody, url, patience)? {
        Some(Unverified::OtherAuthority {
            found: Some(found), ..
        }) => return Ok(Presented::Authority(found)),
        Some(
            Unverified::OtherAuthority { host, .. }
            | Unverified::Inspected { host, .. }
            | Unverified::Invalid { host, .. },
        ) => host,
        // Only a certificate of that authority is taken, and there is none.
        None => {
            return Err(RemoteError::Answer {
                url: url.to_owned(),
                reason: "no certificate".to_owned(),
            });
        }
    };
    match refusal(&ServerIdentity::Name(host.clone()), url, patience)? {
        None => Ok(Presented::Name(host)),
        Some(unverified) => Err(RemoteError::OtherServer(unverified)),
    }
}

/// Why the server at `url` is not `server`; none if it is.
fn refusal(
    server: &ServerIdentity,
    url: &str,
    patience: Duration,
) -> Result<Option<Unverified>, RemoteError> {
    let (http, trust) = client(server, url, patience)?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RemoteError::Runtime)?;
    let identity = format!("{url}{}", control::IDENTITY);
    match runtime.block_on(async { http.get(identity).send().await }) {
        Ok(_) => Ok(None),
        Err(error) => match trust.take_refusal() {
            Some(unverified) => Ok(Some(unverified)),
            None => Err(RemoteError::unreachable(url, &error)),
        },
    }
}

/// Whether a host is this machine, which no proxy stands before.
fn is_loopback(host: &str) -> bool {
    let address: Result<std::net::IpAddr, _> = host.parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
