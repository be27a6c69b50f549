//! Federated learning from one binary: simulate, deploy, inspect.

pub mod arguments;
pub mod bench;
pub mod command;
pub mod console;
pub mod context;
mod download;
pub mod exit;
pub mod failure;
mod following;
mod initial;
pub mod interrupt;
pub mod job_file;
pub mod logging;
mod own_table;
mod parent;
pub mod plot;
pub mod progress;
mod prompt;
pub mod published;
pub mod remote;
pub mod report;
mod result_lines;
pub mod row_numbers;
pub mod run_record;
pub mod server_flags;
mod serving;
pub mod study_name;
pub mod template;
mod text_table;
mod time_text;
mod training;
pub mod up;

use std::ffi::OsString;

use clap::Parser;
use clap::error::ErrorKind;

use crate::arguments::Arguments;
use crate::console::Console;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::report;

/// Runs the program with these arguments (the first is its name) and says how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error, &arguments),
    };
    let context = Context::new(parsed.global);
    let exit = match command::run(&parsed.command, &context) {
        Ok(exit) => exit,
        Err(failure) => report(&context.console, &failure),
    };
    match context.console.lost() {
        Some(error) => {
            context
                .console
                .warn(format_args!("stdout cannot be written: {error}"));
            Exit::Failed
        }
        None => exit,
    }
}

/// Says what is wrong with the arguments, or prints the help that they ask for.
fn usage(error: &clap::Error, arguments: &[OsString]) -> Exit {
    let asked_for = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    let json = arguments.iter().any(|argument| argument == "--json");
    if asked_for || !json {
        // A reader that went away is no error.
        let _ = error.print();
    } else {
        failure::report_usage(&Console::new(true, false), error);
    }
    if asked_for {
        Exit::Success
    } else {
        Exit::Usage
    }
}
