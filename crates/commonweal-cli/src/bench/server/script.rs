//! What the scripted nodes of a measurement do, and when: shared by all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use commonweal_core::{Task, TaskId};
use tokio::sync::{Notify, watch};

use super::error::LoadError;
use super::report::Report;

/// The script.
pub(super) struct Script {
    /// The canonical text of the schema that every node claims to have.
    pub(super) schema: String,
    /// Name of the data set that every node states.
    pub(super) data: &'static str,
    /// Values of an update.
    pub(super) parameters: usize,
    /// Where nodes wait in a round of training.
    pub(super) hold: Hold,
    /// What one node does otherwise, by round.
    pub(super) oddities: BTreeMap<u64, Oddity>,
    /// Tells the slow node to hurry.
    pub(super) hurry: Notify,
    open: watch::Sender<u64>,
    last: Mutex<Option<(String, TaskId, Arc<Report>)>>,
}

/// Where nodes wait until the measurement lets them on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nowhere.
    Nowhere,
    /// With the task in hand, before they fetch the model.
    AtTask,
    /// With the model fetched, before they report.
    AtReport,
}

/// What one node does otherwise than the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    /// It sends so many bytes a second.
    Slow {
        /// Its number.
        node: usize,
        /// Its rate.
        bytes_per_second: u32,
    },
    /// Its connection is cut after half the bytes.
    Cut {
        /// Its number.
        node: usize,
    },
}

impl Script {
    pub(super) fn new(data: &'static str, schema: String, parameters: usize, hold: Hold) -> Self {
        Self {
            schema,
            data,
            parameters,
            hold,
            oddities: BTreeMap::new(),
            hurry: Notify::new(),
            open: watch::Sender::new(0),
            last: Mutex::new(None),
        }
    }

    /// Lets the nodes go on in all rounds up to this one.
    pub(super) fn open(&self, round: u64) {
        self.open.send_replace(round);
    }

    /// Returns when the round is open.
    pub(super) async fn opened(&self, round: u64) {
        // The sender is in `self`, so that it cannot go while somebody waits here.
        let _ = self.open.subscribe().wait_for(|open| *open >= round).await;
    }

    /// The report of this task, made once for all nodes.
    pub(super) fn report(&self, run: &str, task: &Task) -> Result<Arc<Report>, LoadError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((last_run, id, report)) = &*last
            && last_run == run
            && *id == task.id
        {
            return Ok(Arc::clone(report));
        }
        let report = Report::of(task, self.parameters)?;
        *last = Some((run.to_owned(), task.id, Arc::clone(&report)));
        Ok(report)
    }
}
