//! `commonweal node status|data|record|doctor|leave`: what the node is, has and did, and the end of it.

use std::path::{Path, PathBuf};

use clap::Args;

use super::consent::open;
use super::{NodeFailure, say};
use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;

/// The arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {}

/// The arguments of `data`.
#[derive(Debug, Args)]
pub struct Data {}

/// The arguments of `record`.
#[derive(Debug, Args)]
pub struct Record {
    /// Check that no line was changed, added or taken away
    #[arg(long)]
    pub verify: bool,
}

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// A job that the node's data should serve: its rows are read
    pub job: Option<PathBuf>,
}

/// The arguments of `leave`.
#[derive(Debug, Args)]
pub struct Leave {}

impl Status {
    pub(super) fn run(&self, dir: &Path, console: &Console) -> Result<Exit, Failure> {
        let status = open(dir)?.status().map_err(NodeFailure::from)?;
        Ok(say(console, "node", &status))
    }
}

impl Data {
    pub(super) fn run(&self, dir: &Path, console: &Console) -> Result<Exit, Failure> {
        let data = open(dir)?.data().map_err(NodeFailure::from)?;
        Ok(say(console, "data", &data))
    }
}

impl Record {
    pub(super) fn run(&self, dir: &Path, console: &Console) -> Result<Exit, Failure> {
        let record = open(dir)?.record(self.verify).map_err(NodeFailure::from)?;
        Ok(say(console, "record", &record))
    }
}

impl Doctor {
    pub(super) fn run(&self, dir: &Path, console: &Console) -> Result<Exit, Failure> {
        let findings = commonweal_client::doctor(dir, self.job.as_deref());
        console.line(&findings);
        for finding in &findings.findings {
            console.event("finding", finding);
        }
        match findings.is_good() {
            true => Ok(Exit::Success),
            false => Ok(Exit::Failed),
        }
    }
}

impl Leave {
    pub(super) fn run(&self, dir: &Path, console: &Console) -> Result<Exit, Failure> {
        let left = open(dir)?.leave().map_err(NodeFailure::from)?;
        Ok(say(console, "left", &left))
    }
}
