//! A federation's node: consent, training, and nothing leaves but what passed the pipeline.
//!
//! [`join`] makes a directory a node. A [`Node`] is what its owner handles: look at what runs ask, allow or refuse
//! it, try it out, run, compare, leave. What a running node does is in `agent`; the tasks themselves are the
//! simulator's functions, called by `session`. No row is read before the owner agrees, nothing is sent that is not in
//! the [`Record`], and an error that crosses the wire is a code, a column that the job names, and a line.

mod agent;
mod assessment;
mod assignment;
mod backoff;
mod blobs;
mod cache;
mod clock;
mod comparison;
mod connection;
mod data;
mod description;
mod doctor;
mod document;
mod dry_run;
mod folder;
mod hours;
mod join;
mod membership;
mod node;
mod parts;
mod plain;
mod record;
mod request;
mod runtime;
#[cfg(test)]
mod scripted;
mod session;
mod settings;
mod shared;
mod signals;
mod solo;
mod statement;
mod states;
mod status;
mod terms;
mod trust;
mod upload;
mod verdict;

pub use agent::AgentError;
pub use comparison::{MetricLine, ModelSaved, NodeReport, ReportError};
pub use connection::CallError;
pub use data::DataError;
pub use description::Description;
pub use doctor::{Finding, Findings, Health, doctor};
pub use document::DocumentError;
pub use dry_run::{DryRun, DryRunError, FoundLine, Leaving, Subject};
pub use folder::{DEFAULT_FOLDER, FolderError, FolderLock, NodeFolder};
pub use hours::{Hours, HoursError};
pub use join::{Consent, Join, JoinError, Joined, join};
pub use membership::{Membership, MembershipError};
pub use node::{DataLine, DataList, Decided, Left, Node, NodeError, RecordReport, RequestList};
pub use record::{Part, Record, RecordEntry, RecordError, RecordLine};
pub use request::{Decider, Decision, Ended, PreparedBlob, Request, RequestError, Requests, Unfit};
pub use runtime::RuntimeError;
pub use session::SessionError;
pub use settings::{Accept, DataFiles, DataPlace, Settings, SettingsError};
pub use solo::SoloError;
pub use states::StateError;
pub use status::{Last, Status, StatusError};
pub use terms::TermsError;
pub use trust::{Trust, TrustError, Unverified};
