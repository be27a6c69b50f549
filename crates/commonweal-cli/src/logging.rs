//! The log of a server or a node on stderr: lines for people on a terminal, else one JSON object a line.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// What is logged unless somebody says otherwise.
pub(crate) const INFO: &str = "info";

/// Environment variable that says what is logged, such as `debug` or `commonweal_server=trace`.
const FILTER_VARIABLE: &str = "COMMONWEAL_LOG";

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// Starts the log, of what `level` names; without a format, as stderr's reader needs it.
pub(crate) fn start(format: Option<LogFormat>, level: &str) {
    let level = || EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new(INFO));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| level()))
        .with_writer(io::stderr);
    let format = format.unwrap_or(match io::stderr().is_terminal() {
        true => LogFormat::Text,
        false => LogFormat::Json,
    });
    let started = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // It can have been started before, by a program that uses this one as a library.
    let _ = started;
}
