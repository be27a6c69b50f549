//! `commonweal node join`: makes this machine a node of a federation, once.

use std::path::{Path, PathBuf};

use clap::Args;
use commonweal_client::{Accept, Consent, NodeFolder};
use commonweal_wire::JoinString;

use super::{NodeFailure, say};
use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::prompt;

/// Fewest nodes in a round, unless the owner says otherwise: with two, each could compute the other's update.
const SMALLEST_COHORT: u32 = 3;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Without the string as an argument, it is asked for on a terminal, else read from standard input: so it stays
out of the shell's history.

Examples:
  commonweal node join
  commonweal node join --accept ask < join-string.txt")]
pub struct Join {
    /// The join string, or - for standard input
    #[arg(value_name = "STRING")]
    pub string: Option<String>,
    /// Which runs may use the data: `ask`, `all`, or the digests of manifests
    #[arg(long, value_name = "ask|all|DIGEST", value_delimiter = ',')]
    pub accept: Vec<String>,
    /// The fewest nodes in a round that this one takes part in [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub smallest_cohort: Option<u32>,
    /// The node's name, where the invitation has none [default: this machine's]
    #[arg(long)]
    pub name: Option<String>,
    /// Certificates to trust besides the machine's, such as a proxy's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

impl Join {
    /// Joins, and says how to go on.
    ///
    /// # Errors
    /// A string that is none, an invitation that is used up, a server that cannot be reached or is another one.
    pub(super) fn run(&self, dir: &Path, console: &Console) -> Result<Exit, Failure> {
        let folder = NodeFolder::at(dir);
        let has_settings = folder.settings().is_file();
        // Who has joined already is told of that first.
        if has_settings && !folder.server().is_file() && self.says_settings() {
            let path = folder.settings();
            return Err(NodeFailure::HasSettings { path }.into());
        }
        let text = match self.string.as_deref() {
            Some(text) if text != "-" => Ok(text.to_owned()),
            None if prompt::can_ask() => prompt::ask("join string:"),
            _ => prompt::line(),
        };
        let text = text.map_err(Failure::StandardInput)?;
        let string: JoinString = text.parse().map_err(NodeFailure::String)?;
        let consent = match has_settings {
            true => None,
            false => Some(Consent {
                accept: self.accept()?,
                smallest_cohort: self.smallest_cohort.unwrap_or(SMALLEST_COHORT),
            }),
        };
        let join = commonweal_client::Join {
            string,
            name: self.name.clone(),
            ca_file: self.ca_file.clone(),
            consent,
        };
        let joined = commonweal_client::join(&folder, join).map_err(NodeFailure::from)?;
        Ok(say(console, "joined", &joined))
    }

    /// Whether the owner says what belongs into `node.toml`.
    fn says_settings(&self) -> bool {
        !self.accept.is_empty() || self.smallest_cohort.is_some() || self.ca_file.is_some()
    }

    /// What the owner says: there is no default.
    fn accept(&self) -> Result<Accept, Failure> {
        let words: Vec<&str> = self.accept.iter().map(String::as_str).collect();
        match words[..] {
            ["ask"] => Ok(Accept::Ask),
            ["all"] => Ok(Accept::All),
            [] if prompt::can_ask() => asked(),
            [] => Err(NodeFailure::NoConsent.into()),
            _ => {
                let digests: Result<_, _> = words.iter().map(|word| word.parse()).collect();
                digests.map(Accept::Manifests).map_err(|_| {
                    NodeFailure::Accept {
                        found: self.accept.join(","),
                    }
                    .into()
                })
            }
        }
    }
}

/// Asks the owner until the answer is one.
fn asked() -> Result<Accept, Failure> {
    let question = "Which runs may use this node's data? `ask`: those that you approve one by one; `all`: every one\n\
                    accept [ask/all]:";
    loop {
        let answer = prompt::ask(question).map_err(Failure::StandardInput)?;
        match answer.as_str() {
            "ask" => return Ok(Accept::Ask),
            "all" => return Ok(Accept::All),
            "" => return Err(NodeFailure::NoConsent.into()),
            _ => {}
        }
    }
}
