//! `commonweal node`: a site's part of a federation, as its owner handles it.

mod assess;
mod consent;
mod failure;
mod join;
mod look;
mod run;

use std::fmt::Display;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use commonweal_client::DEFAULT_FOLDER;
use serde::Serialize;

use crate::console::Console;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

pub use failure::NodeFailure;

/// The arguments.
#[derive(Debug, Args)]
pub struct Node {
    /// The node's directory
    #[arg(long, global = true, value_name = "FOLDER", default_value = DEFAULT_FOLDER)]
    pub dir: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What a node's owner does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Join a federation with the string that its administrator sent
    Join(join::Join),
    /// Work: train what the owner allows, and send what passed the pipeline
    Run(run::Run),
    /// List the runs that ask for this node's data
    Requests(consent::Requests),
    /// Tell in plain words what a run asks for
    Show(consent::Show),
    /// Do a run's work once and show what would leave; nothing is sent
    DryRun(assess::DryRun),
    /// Let a run use the data
    Approve(consent::Approve),
    /// Keep a run from the data, with a reason
    Deny(consent::Deny),
    /// Tell what the node is and does
    Status(look::Status),
    /// List the data sets, and which runs may use them
    Data(look::Data),
    /// Print everything that was decided and sent, in its hash chain
    Record(look::Record),
    /// Compare the final model with one of this node's data alone
    Report(assess::Report),
    /// Fetch the final model of a run
    Model(assess::Model),
    /// Look for what keeps the node from working
    Doctor(look::Doctor),
    /// Leave the federation: the key goes at both ends, the record stays
    Leave(look::Leave),
}

impl Node {
    /// Does it.
    ///
    /// # Errors
    /// [`NodeFailure`].
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let (dir, console) = (&self.dir, &context.console);
        match &self.action {
            Action::Join(action) => action.run(dir, console),
            Action::Run(action) => action.run(dir, console),
            Action::Requests(action) => action.run(dir, console),
            Action::Show(action) => action.run(dir, console),
            Action::Approve(action) => action.run(dir, console),
            Action::Deny(action) => action.run(dir, console),
            Action::Status(action) => action.run(dir, console),
            Action::Data(action) => action.run(dir, console),
            Action::Record(action) => action.run(dir, console),
            Action::DryRun(action) => action.run(dir, console),
            Action::Report(action) => action.run(dir, console),
            Action::Model(action) => action.run(dir, console),
            Action::Doctor(action) => action.run(dir, console),
            Action::Leave(action) => action.run(dir, console),
        }
    }
}

/// Says a result as text, or as the event of this name.
fn say<T: Display + Serialize>(console: &Console, event: &str, result: &T) -> Exit {
    console.line(result);
    console.event(event, result);
    Exit::Success
}
