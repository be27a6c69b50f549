//! `commonweal config explain`: every setting of a server or a node, its value, and where that is from.

mod node;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use commonweal_server::config::Setting;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server_flags::{ServerFlags, ServerFolder};
use crate::text_table::TextTable;

/// The arguments.
#[derive(Debug, Args)]
pub struct Config {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What there is to do with settings.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Tell each setting, its value, and where that is from
    #[command(after_help = "\
Without --node, the settings are those of a server: its server.toml, then the environment, then flags.")]
    Explain(Box<Explain>),
}

/// The arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Those of the node in this directory
    #[arg(long, value_name = "FOLDER")]
    pub node: Option<PathBuf>,
    /// The server's directory.
    #[command(flatten)]
    pub folder: ServerFolder,
    /// The server's flags.
    #[command(flatten)]
    pub flags: ServerFlags,
}

/// One setting.
#[derive(Serialize)]
struct Line {
    key: String,
    value: Option<String>,
    origin: String,
    meaning: String,
}

impl Config {
    /// Prints a line a setting.
    ///
    /// # Errors
    /// Settings with faults.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let Action::Explain(explain) = &self.action;
        let lines = match &explain.node {
            Some(dir) => node::settings(dir)?,
            None => explain.server()?,
        };
        let mut table = TextTable::new(&["key", "value", "from", ""]);
        for line in lines {
            context.console.event("setting", &line);
            let value = line.value.unwrap_or_else(|| "–".to_owned());
            table.row(vec![line.key, value, line.origin, line.meaning]);
        }
        context.console.line(table);
        Ok(Exit::Success)
    }
}

impl Explain {
    fn server(&self) -> Result<Vec<Line>, Failure> {
        let configured = self.flags.load(&self.folder)?;
        let settings = configured.settings.into_iter();
        let line = |setting: Setting| Line {
            key: setting.key.to_owned(),
            value: setting.value,
            origin: setting.origin.to_string(),
            meaning: setting.meaning.to_owned(),
        };
        Ok(settings.map(line).collect())
    }
}
