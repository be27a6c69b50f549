//! Why a node's command failed.

use std::path::PathBuf;

use commonweal_client::{
    AgentError, CallError, DryRunError, JoinError, NodeError, ReportError, RequestError,
    SettingsError,
};
use commonweal_wire::JoinStringError;
use thiserror::Error;

use crate::exit::Exit;

/// Why a node's command failed.
#[derive(Debug, Error)]
pub enum NodeFailure {
    /// A join string that is none.
    #[error(transparent)]
    String(JoinStringError),
    /// Nobody said which runs may use the data.
    #[error("nobody has said which runs may use this node's data, and there is no default")]
    NoConsent,
    /// Neither `ask` nor `all` nor digests.
    #[error(
        "--accept is `ask`, `all`, or digests of manifests with commas between; found {found:?}"
    )]
    Accept {
        /// What was given.
        found: String,
    },
    /// What `node.toml` says already.
    #[error(
        "{} is there already, and --accept, --smallest-cohort and --ca-file would change nothing in it: join without \
         them, and edit the file", path.display()
    )]
    HasSettings {
        /// The file.
        path: PathBuf,
    },
    /// `node.toml` is not there, or faulty.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The node did not join.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// No dry run.
    #[error(transparent)]
    DryRun(#[from] DryRunError),
    /// No report or model.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The node cannot do what its owner asks.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl NodeFailure {
    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::String(_)
            | Self::NoConsent
            | Self::Accept { .. }
            | Self::HasSettings { .. }
            | Self::Settings(_) => Exit::Usage,
            Self::Join(error) => match error {
                JoinError::Token | JoinError::NameTaken { .. } => Exit::Refused,
                JoinError::AlreadyJoined { .. } | JoinError::NoName | JoinError::NoConsent => {
                    Exit::Usage
                }
                JoinError::Call(error) => exit_of(error),
                _ => Exit::Failed,
            },
            Self::DryRun(error) => match error {
                DryRunError::Job { .. } | DryRunError::Request(_) => Exit::Usage,
                _ => Exit::Failed,
            },
            Self::Report(error) => match error {
                ReportError::NotOver { .. } | ReportError::Request(_) => Exit::Usage,
                ReportError::NoModel { .. } | ReportError::NotApproved { .. } => Exit::Refused,
                ReportError::Call(error) => exit_of(error),
                _ => Exit::Failed,
            },
            Self::Node(error) => match error {
                NodeError::Membership(_) | NodeError::Settings(_) => Exit::Usage,
                NodeError::Request(
                    RequestError::Unknown { .. }
                    | RequestError::Over { .. }
                    | RequestError::OtherManifest { .. },
                ) => Exit::Usage,
                NodeError::Call(error) => exit_of(error),
                NodeError::Agent(
                    AgentError::TakenOver
                    | AgentError::Revoked
                    | AgentError::Unknown { .. }
                    | AgentError::Protocol { .. },
                ) => Exit::Refused,
                _ => Exit::Failed,
            },
        }
    }

    /// What to do next, where the message does not say it already.
    pub(crate) fn next(&self) -> Option<String> {
        match self {
            Self::NoConsent => {
                Some("--accept ask, to decide run by run; or --accept all".to_owned())
            }
            _ => None,
        }
    }
}

fn exit_of(error: &CallError) -> Exit {
    match error {
        CallError::Unreachable { .. } | CallError::Answer { .. } => Exit::Unreachable,
        CallError::Refused { .. } | CallError::Unverified(_) => Exit::Refused,
        _ => Exit::Failed,
    }
}
