//! `commonweal login`: remembers a server and the key with which one is known to it.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use commonweal_core::Digest;
use commonweal_wire::ServerIdentity;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::prompt;
use crate::remote::{Account, PATIENCE, Presented, Remote, RemoteError, presented};

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
The key comes from `commonweal server keys add` on the server's machine. It is asked for on a
terminal, else read from standard input, so that it stays out of the shell's history.

Examples:
  commonweal login https://fl.example.org:7070
  commonweal login fl.example.org:7070 --ca-fingerprint sha256:2f0c… < key.txt")]
pub struct Login {
    /// The server's address: https://HOST:PORT
    pub url: ServerUrl,
    /// Fingerprint of the federation's authority, as `commonweal serve` prints it; without it you are asked
    #[arg(long, value_name = "DIGEST")]
    pub ca_fingerprint: Option<Digest>,
}

/// `https://HOST:PORT`, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl(String);

impl FromStr for ServerUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().trim_end_matches('/');
        let authority = match text.split_once("://") {
            Some(("https", authority)) => authority,
            Some(_) => return Err("a server speaks https and nothing else"),
            None => text,
        };
        if authority.is_empty()
            || authority.contains(|c: char| c.is_whitespace() || "/?#@".contains(c))
        {
            return Err("an address is https://HOST:PORT, without a path");
        }
        Ok(Self(format!("https://{authority}")))
    }
}

#[derive(Serialize)]
struct LoggedIn<'a> {
    url: &'a str,
    name: &'a str,
    role: &'a str,
    version: &'a str,
    path: PathBuf,
}

impl Login {
    /// Checks server and key, and keeps them.
    ///
    /// # Errors
    /// A server that cannot be reached or is another one; a key that it does not know.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let url = &self.url.0;
        let server = self.server(context)?;
        let key = match prompt::can_ask() {
            true => prompt::ask_secret("key:"),
            false => prompt::line(),
        };
        let key = key.map_err(Failure::StandardInput)?;
        if key.is_empty() || key.contains(|c: char| !c.is_ascii_graphic()) {
            return Err(Failure::NoKeyGiven);
        }
        let account = Account {
            url: url.clone(),
            server,
            key,
        };
        let remote = Remote::of(account)?;
        let identity = remote.identity()?;
        let path = remote.account().write()?;
        context.console.line(format_args!(
            "logged in to {url} as {} ({})",
            identity.name, identity.role
        ));
        context.console.event(
            "logged_in",
            &LoggedIn {
                url,
                name: &identity.name,
                role: &identity.role,
                version: &identity.version,
                path,
            },
        );
        Ok(Exit::Success)
    }

    /// How the server is to be known: by the given fingerprint, or by what it presents if the user says so.
    fn server(&self, context: &Context) -> Result<ServerIdentity, Failure> {
        if let Some(digest) = self.ca_fingerprint {
            return Ok(ServerIdentity::Authority(digest));
        }
        let url = &self.url.0;
        let found = presented(url, PATIENCE)?;
        if let Presented::Authority(digest) = &found {
            context.console.always(format_args!(
                "{url} is a Commonweal server whose authority has the fingerprint\n  {digest}\n\
                 Compare it with what `commonweal serve` or `commonweal server status` prints on the server's machine."
            ));
            let answer = match prompt::can_ask() {
                true => prompt::ask("Is it the same? [yes/no]").map_err(Failure::StandardInput)?,
                false => String::new(),
            };
            if !matches!(answer.as_str(), "yes" | "y") {
                return Err(RemoteError::Unconfirmed { found: *digest }.into());
            }
        }
        Ok(found.identity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_its_scheme_and_loses_its_slash() {
        for text in [
            "https://fl.example.org:7070",
            "https://fl.example.org:7070/",
            "fl.example.org:7070",
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert_eq!(url.0, "https://fl.example.org:7070");
        }
        for text in ["", "http://a:1", "https://a:1/x", "https://u@a:1", "a b"] {
            assert!(text.parse::<ServerUrl>().is_err(), "{text}");
        }
    }
}
