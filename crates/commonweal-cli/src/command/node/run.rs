//! `commonweal node run`: the node at work, until it is told to end.

use std::path::Path;

use clap::Args;
use commonweal_client::{Join, NodeFolder};
use serde::Serialize;

use super::consent::open;
use super::{NodeFailure, say};
use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::logging::{self, LogFormat};
use crate::{parent, prompt};

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
SIGTERM or Ctrl-C finishes the task in hand; a second one ends at once. The node needs its directory, its data and
a way to one address and one port; no token, no open port, no root.")]
pub struct Run {
    /// How the log on stderr is written [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Join with the string on standard input, and end when that is closed
    #[arg(long, hide = true)]
    pub from_parent: bool,
}

#[derive(Serialize)]
struct Running<'a> {
    name: &'a str,
    fingerprint: String,
}

impl Run {
    /// Works.
    ///
    /// # Errors
    /// A node that has not joined, that runs already, or whose key was taken back.
    pub(super) fn run(&self, dir: &Path, console: &Console) -> Result<Exit, Failure> {
        logging::start(self.log_format, logging::INFO);
        if self.from_parent {
            join(dir, console)?;
            parent::end_with_it();
        }
        let node = open(dir)?;
        console.note(format_args!("node {} runs; Ctrl-C ends it", node.name()));
        let running = Running {
            name: node.name(),
            fingerprint: node.fingerprint().to_string(),
        };
        console.event("running", &running);
        node.run_until_signal().map_err(NodeFailure::from)?;
        Ok(Exit::Success)
    }
}

/// Joins with the parent's invitation; what the owner allows lies in the directory already.
fn join(dir: &Path, console: &Console) -> Result<(), Failure> {
    let string = prompt::line().map_err(Failure::StandardInput)?;
    let join = Join {
        string: string.parse().map_err(NodeFailure::String)?,
        // The invitation has the name.
        name: Some("node".to_owned()),
        ca_file: None,
        consent: None,
    };
    let joined = commonweal_client::join(&NodeFolder::at(dir), join).map_err(NodeFailure::from)?;
    say(console, "joined", &joined);
    Ok(())
}
