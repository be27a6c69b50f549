//! `commonweal node requests|show|approve|deny`: the owner's word on the runs that ask.

use std::path::Path;

use clap::Args;
use commonweal_client::Node;
use commonweal_core::Digest;

use super::{NodeFailure, say};
use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;

/// The arguments of `requests`.
#[derive(Debug, Args)]
pub struct Requests {}

/// The arguments of `show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The run, such as heart-3
    pub run: String,
}

/// The arguments of `approve`.
#[derive(Debug, Args)]
pub struct Approve {
    /// The run, such as heart-3
    pub run: String,
    /// The digest of the manifest that is approved [default: that of the last `show`]
    #[arg(long, value_name = "DIGEST")]
    pub manifest: Option<Digest>,
}

/// The arguments of `deny`.
#[derive(Debug, Args)]
pub struct Deny {
    /// The run, such as heart-3
    pub run: String,
    /// Why; the researcher reads it
    #[arg(long, default_value = "")]
    pub reason: String,
}

impl Requests {
    pub(super) fn run(&self, dir: &Path, console: &Console) -> Result<Exit, Failure> {
        let requests = open(dir)?.requests().map_err(NodeFailure::from)?;
        Ok(say(console, "requests", &requests))
    }
}

impl Show {
    pub(super) fn run(&self, dir: &Path, console: &Console) -> Result<Exit, Failure> {
        let described = open(dir)?.show(&self.run).map_err(NodeFailure::from)?;
        Ok(say(console, "request", &described))
    }
}

impl Approve {
    pub(super) fn run(&self, dir: &Path, console: &Console) -> Result<Exit, Failure> {
        let decided = open(dir)?.approve(&self.run, self.manifest);
        let decided = decided.map_err(NodeFailure::from)?;
        Ok(say(console, "decided", &decided))
    }
}

impl Deny {
    pub(super) fn run(&self, dir: &Path, console: &Console) -> Result<Exit, Failure> {
        let decided = open(dir)?.deny(&self.run, &self.reason);
        let decided = decided.map_err(NodeFailure::from)?;
        Ok(say(console, "decided", &decided))
    }
}

/// The node in `dir`.
pub(super) fn open(dir: &Path) -> Result<Node, NodeFailure> {
    Ok(Node::open(dir)?)
}
