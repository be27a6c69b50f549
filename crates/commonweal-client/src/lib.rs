//! A federation's node: consent, training, and nothing leaves but what passed the pipeline.

mod backoff;
mod clock;
mod connection;
mod description;
mod document;
mod folder;
mod hours;
mod join;
mod membership;
mod node;
mod record;
mod request;
mod runtime;
mod settings;
mod statement;
mod status;
mod trust;

pub use connection::CallError;
pub use description::Description;
pub use document::DocumentError;
pub use folder::{DEFAULT_FOLDER, FolderError, FolderLock, NodeFolder};
pub use hours::{Hours, HoursError};
pub use join::{Consent, Join, JoinError, Joined, join};
pub use membership::{Membership, MembershipError};
pub use node::{DataLine, DataList, Decided, Left, Node, NodeError, RecordReport, RequestList};
pub use record::{Part, Record, RecordEntry, RecordError, RecordLine};
pub use request::{Decider, Decision, Ended, Request, RequestError, Requests, Unfit};
pub use runtime::RuntimeError;
pub use settings::{Accept, DataFiles, DataPlace, Settings, SettingsError};
pub use status::{Last, Status, StatusError};
pub use trust::{Trust, TrustError, Unverified};
