//! `commonweal server invite`: join strings, each for one node and good once.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use commonweal_core::ClientName;
use commonweal_server::admin::read_sites;
use commonweal_server::config::PublicUrl;
use serde::Serialize;

use super::{Office, ServerFailure};
use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server_flags::ServerFolder;
use crate::serving::Serving;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Whoever has the string can join in the site's name: send it by a channel that you trust as much as that deserves.

Examples:
  commonweal server invite --name hospital-a
  commonweal server invite --from sites.csv --column site --expires 30d")]
pub struct Invite {
    /// The node's name; without it, the node chooses
    #[arg(long, conflicts_with = "from")]
    pub name: Option<String>,
    /// One for each line of a CSV table
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// The table's column of names
    #[arg(long, value_name = "COLUMN", default_value = "name", requires = "from")]
    pub column: String,
    /// How long it is good: a number with m, h or d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = span)]
    pub expires: Duration,
    /// How nodes reach the server [default: what `serve` was told]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
}

#[derive(Serialize)]
struct Invitation {
    name: Option<String>,
    string: String,
    /// Seconds since 1970, UTC.
    expires: u64,
}

impl Invite {
    pub(super) fn run(&self, folder: &ServerFolder, console: &Console) -> Result<Exit, Failure> {
        let names = self.names()?;
        let mut config = folder.load()?;
        config.public_url = match &self.public_url {
            Some(text) => Some(url(text)?),
            None => match config.public_url {
                Some(url) => Some(url),
                None => {
                    let serving = Serving::read(&config.data_dir).map_err(ServerFailure::from)?;
                    serving.map(|serving| url(&serving.url)).transpose()?
                }
            },
        };
        let office = Office::open(config)?;
        let invited = office.admin.invite(&names, self.expires, SystemTime::now());
        for invited in office.wait(invited)? {
            let name = invited.name.as_ref().map(ToString::to_string);
            let invitation = Invitation {
                string: invited.join.to_string(),
                expires: invited.join.expires,
                name,
            };
            // One name needs no name beside it, so that the string alone goes down a pipe.
            match (&self.from, &invitation.name) {
                (Some(_), Some(name)) => {
                    console.line(format_args!("{name}\t{}", invitation.string))
                }
                _ => console.line(&invitation.string),
            }
            console.event("invited", &invitation);
        }
        console.note("at the site: commonweal node join, and paste it; it lets in one node, once");
        Ok(Exit::Success)
    }

    fn names(&self) -> Result<Vec<Option<ClientName>>, ServerFailure> {
        if let Some(path) = &self.from {
            let names = read_sites(path, &self.column)?;
            return Ok(names.into_iter().map(Some).collect());
        }
        let name = self.name.as_deref().map(ClientName::try_from);
        Ok(vec![name.transpose()?])
    }
}

fn url(text: &str) -> Result<PublicUrl, ServerFailure> {
    PublicUrl::parse(text).map_err(|expected| ServerFailure::PublicUrl {
        found: text.to_owned(),
        expected,
    })
}

/// A span of time such as `90m`, `12h` or `7d`.
fn span(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "a number with m, h or d, such as 12h";
    let unit = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(EXPECTED),
    };
    let number: Option<u64> = text[..text.len() - 1].parse().ok();
    let seconds = number
        .filter(|number| *number > 0)
        .and_then(|number| number.checked_mul(unit));
    seconds.map(Duration::from_secs).ok_or(EXPECTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        assert_eq!(span("90m"), Ok(Duration::from_secs(5400)));
        assert_eq!(span("2d"), Ok(Duration::from_secs(172_800)));
        for text in [
            "",
            "d",
            "7",
            "0h",
            "-1h",
            "1.5h",
            "7w",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
