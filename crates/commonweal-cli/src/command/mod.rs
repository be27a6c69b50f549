//! The commands, one a file.

pub mod completions;
pub mod job;
pub mod runs;

use crate::arguments::Command;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Runs a command.
///
/// # Errors
/// [`Failure`], which knows its exit code and what to do next.
pub fn run(command: &Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Job(command) => command.run(context),
        Command::Runs(command) => command.run(context),
        Command::Completions(command) => command.run(context),
    }
}
