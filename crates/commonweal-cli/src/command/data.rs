//! `commonweal data`: which data sets there are, what is in them, and who would get what.

mod describe;
mod list;
mod partition;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

pub use describe::Describe;
pub use partition::ShowPartition;

/// The arguments.
#[derive(Debug, Args)]
pub struct Data {
    /// What to look at
    #[command(subcommand)]
    pub action: Action,
}

/// What can be looked at.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// The data sets that are known by name, and whether they are here
    List,
    /// One of them: rows, columns, classes, clients, licence, how to get it
    Describe(Describe),
    /// A picture of which client has which rows of which class, before any training
    Partition(ShowPartition),
}

impl Data {
    /// Looks.
    ///
    /// # Errors
    /// An unknown name; data or a partition that cannot be made.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        match &self.action {
            Action::List => list::run(context),
            Action::Describe(describe) => describe.run(context),
            Action::Partition(partition) => partition.run(context),
        }
    }
}
