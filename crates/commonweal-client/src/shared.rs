//! What all parts of a running node share.

use std::time::Instant;

use commonweal_core::Time;
use tokio::sync::Notify;

use crate::backoff::Pace;
use crate::blobs::Blobs;
use crate::cache::Cache;
use crate::clock::now_ms;
use crate::connection::Connection;
use crate::folder::NodeFolder;
use crate::membership::Membership;
use crate::record::{Record, RecordEntry, RecordError};
use crate::request::Requests;
use crate::settings::Settings;
use crate::states::States;

/// The node's files, its settings and its way to the server.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) folder: NodeFolder,
    pub(crate) settings: Settings,
    pub(crate) membership: Membership,
    pub(crate) connection: Connection,
    pub(crate) cache: Cache,
    pub(crate) record: Record,
    pub(crate) requests: Requests,
    pub(crate) states: States,
    pub(crate) pace: Pace,
    pub(crate) started: Instant,
    /// Wakes transfers from connections that are no more.
    pub(crate) reconnected: Notify,
}

impl Shared {
    /// The server's blobs.
    pub(crate) fn blobs(&self) -> Blobs<'_> {
        Blobs {
            connection: &self.connection,
            cache: &self.cache,
            pace: self.pace,
            reconnected: &self.reconnected,
        }
    }

    /// Time since the node was started: the clock of its tasks' deadlines.
    pub(crate) fn now(&self) -> Time {
        let ms = self.started.elapsed().as_millis();
        Time {
            ms: u64::try_from(ms).unwrap_or(u64::MAX),
        }
    }

    /// Writes down what happens. What cannot be written down is not done.
    pub(crate) fn note(&self, entry: RecordEntry) -> Result<(), RecordError> {
        self.record.append(now_ms(), entry)
    }
}
