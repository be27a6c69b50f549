//! The commands, one a file.

pub mod bench;
pub mod cancel;
pub mod completions;
pub mod config;
pub mod data;
pub mod doctor;
pub mod download;
pub mod evaluate;
pub mod explain;
pub mod export;
pub mod job;
pub mod login;
pub mod logs;
pub mod new;
pub mod node;
pub mod plot;
pub mod predict;
pub mod report;
pub mod reproduce;
pub mod resume;
pub mod runs;
pub mod serve;
pub mod server;
pub mod simulate;
pub mod submit;
pub mod up;
pub mod watch;

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
        Command::Simulate(command) => command.run(context),
        Command::Resume(command) => command.run(context),
        Command::New(command) => command.run(context),
        Command::Data(command) => command.run(context),
        Command::Job(command) => command.run(context),
        Command::Runs(command) => command.run(context),
        Command::Evaluate(command) => command.run(context),
        Command::Predict(command) => command.run(context),
        Command::Export(command) => command.run(context),
        Command::Plot(command) => command.run(context),
        Command::Report(command) => command.run(context),
        Command::Reproduce(command) => command.run(context),
        Command::Bench(command) => command.run(context),
        Command::Up(command) => command.run(context),
        Command::Serve(command) => command.run(context),
        Command::Server(command) => command.run(context),
        Command::Doctor(command) => command.run(context),
        Command::Config(command) => command.run(context),
        Command::Node(command) => command.run(context),
        Command::Login(command) => command.run(context),
        Command::Submit(command) => command.run(context),
        Command::Watch(command) => command.run(context),
        Command::Explain(command) => command.run(context),
        Command::Cancel(command) => command.run(context),
        Command::Logs(command) => command.run(context),
        Command::Download(command) => command.run(context),
        Command::Completions(command) => command.run(context),
    }
}
