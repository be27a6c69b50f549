//! Why a server's control API gave no answer, or said no.

use std::io;

use commonweal_client::Unverified;
use commonweal_core::Digest;
use commonweal_disk::file::FileError;
use commonweal_wire::control::ApiError;
use thiserror::Error;

use crate::exit::Exit;

/// Why a call failed.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// Nobody has logged in.
    #[error("no server is known here")]
    NoLogin,
    /// The account's file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The account's file does not say what it should.
    #[error("{path}: {reason}")]
    Account {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// An address that is none of a server.
    #[error("{url:?} is no address of a server: {reason}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No connection, or one that broke.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The server.
        url: String,
        /// The causes, outermost first.
        reason: String,
    },
    /// The server's certificate is not that of the login, or nobody's.
    #[error(transparent)]
    OtherServer(Unverified),
    /// Nobody has said that the server is the right one.
    #[error("the server has the fingerprint {found}, and nobody has confirmed it")]
    Unconfirmed {
        /// The fingerprint of its authority.
        found: Digest,
    },
    /// An answer that is none of this protocol.
    #[error("{url} answers as no Commonweal server of this version does: {reason}")]
    Answer {
        /// The server.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server said no.
    #[error("{}", error.message)]
    Refused {
        /// Its words.
        error: ApiError,
    },
    /// No runtime.
    #[error("the network cannot be used: {0}")]
    Runtime(io::Error),
    /// No TLS.
    #[error("TLS cannot be used: {reason}")]
    Tls {
        /// Why not.
        reason: String,
    },
}

impl RemoteError {
    /// The error of a connection to `url`, with all its causes: the outermost alone says nothing.
    pub(crate) fn unreachable(url: &str, error: &reqwest::Error) -> Self {
        Self::Unreachable {
            url: url.to_owned(),
            reason: causes(error),
        }
    }

    /// Whether trying again may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { error } => error.code == "unavailable",
            _ => false,
        }
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::NoLogin | Self::Address { .. } => Exit::Usage,
            Self::Unreachable { .. } | Self::Answer { .. } => Exit::Unreachable,
            Self::OtherServer(_) | Self::Unconfirmed { .. } => Exit::Refused,
            Self::Refused { error } => match error.code.as_str() {
                "job" | "unknown_run" => Exit::Usage,
                "unavailable" => Exit::Unreachable,
                _ => Exit::Refused,
            },
            Self::File(_) | Self::Account { .. } | Self::Runtime(_) | Self::Tls { .. } => {
                Exit::Failed
            }
        }
    }

    /// What to do next, where the message does not say it already.
    pub(crate) fn next(&self) -> Option<String> {
        let next = match self {
            Self::NoLogin => {
                "`commonweal login URL` with a key of `commonweal server keys add`; \
                 `commonweal up job.toml` needs no server"
            }
            Self::Unreachable { .. } => {
                "is the server up, and the address right? `commonweal login URL` changes it"
            }
            Self::OtherServer(_) => {
                "if the server was set up anew, compare its fingerprint and `commonweal login URL` again"
            }
            Self::Unconfirmed { found } => {
                return Some(format!(
                    "compare it with the server's, then: commonweal login --ca-fingerprint {found} URL"
                ));
            }
            Self::Answer { .. } => "does another program listen there, or an older version?",
            Self::Refused { error } => match error.code.as_str() {
                "unauthorized" => "`commonweal login URL` with a key that is not revoked",
                "unknown_run" => "`commonweal runs` lists them all",
                _ => return None,
            },
            _ => return None,
        };
        Some(next.to_owned())
    }
}

/// What lies below an error, outermost first: for most errors of the network it alone says something.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    causes.dedup();
    match causes.is_empty() {
        true => error.to_string(),
        false => causes.join(": "),
    }
}
