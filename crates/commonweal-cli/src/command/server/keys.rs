//! `commonweal server keys`: who may submit, watch and administer over the network.

use std::time::SystemTime;

use clap::{Args, Subcommand};
use commonweal_server::store::Role;
use serde::Serialize;

use super::Office;
use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server_flags::ServerFolder;
use crate::text_table::TextTable;
use crate::time_text::ago;

/// The arguments.
#[derive(Debug, Args)]
pub struct Keys {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What there is to do with keys.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make a key, and print it once: the server keeps a digest of it
    Add(Add),
    /// List the keys
    List,
    /// Take a key back
    Revoke(Revoke),
}

/// The arguments of `add`.
#[derive(Debug, Args)]
pub struct Add {
    /// Its holder
    #[arg(long)]
    pub name: String,
    /// What the holder may do: viewer, researcher or admin, each what those before it may
    #[arg(long, value_parser = role)]
    pub role: Role,
}

/// The arguments of `revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The key's holder
    pub name: String,
}

#[derive(Serialize)]
struct Added<'a> {
    name: &'a str,
    role: &'static str,
    key: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    role: &'static str,
    created_at_ms: u64,
    revoked_at_ms: Option<u64>,
}

#[derive(Serialize)]
struct Revoked<'a> {
    name: &'a str,
}

impl Keys {
    pub(super) fn run(&self, folder: &ServerFolder, console: &Console) -> Result<Exit, Failure> {
        match &self.action {
            Action::Add(add) => add.run(folder, console),
            Action::List => list(folder, console),
            Action::Revoke(revoke) => revoke.run(folder, console),
        }
    }
}

impl Add {
    fn run(&self, folder: &ServerFolder, console: &Console) -> Result<Exit, Failure> {
        let office = Office::open(folder.load()?)?;
        let secret = office
            .admin
            .add_key(&self.name, self.role, SystemTime::now());
        let secret = office.wait(secret)?;
        // Alone on its line, so that it goes down a pipe.
        console.line(secret.as_str());
        console.event(
            "key",
            &Added {
                name: &self.name,
                role: self.role.as_str(),
                key: secret.as_str(),
            },
        );
        console.note(format_args!(
            "this is the only time that it is shown; {} logs in with: commonweal login URL",
            self.name
        ));
        Ok(Exit::Success)
    }
}

impl Revoke {
    fn run(&self, folder: &ServerFolder, console: &Console) -> Result<Exit, Failure> {
        let office = Office::existing(folder)?;
        office.wait(office.admin.revoke_key(&self.name, SystemTime::now()))?;
        console.line(format_args!(
            "the key of {} opens nothing any more",
            self.name
        ));
        console.event("revoked", &Revoked { name: &self.name });
        Ok(Exit::Success)
    }
}

fn list(folder: &ServerFolder, console: &Console) -> Result<Exit, Failure> {
    let office = Office::existing(folder)?;
    let keys = office.wait(office.admin.keys().list())?;
    let mut table = TextTable::new(&["name", "role", "made", "revoked"]);
    for key in &keys {
        let line = Line {
            name: &key.name,
            role: key.role.as_str(),
            created_at_ms: key.created_at_ms,
            revoked_at_ms: key.revoked_at_ms,
        };
        console.event("key", &line);
        table.row(vec![
            key.name.clone(),
            line.role.to_owned(),
            ago(key.created_at_ms),
            key.revoked_at_ms.map_or_else(String::new, ago),
        ]);
    }
    match keys.is_empty() {
        true => console.note("no keys yet; `commonweal server keys add` makes one"),
        false => console.line(table),
    }
    Ok(Exit::Success)
}

fn role(text: &str) -> Result<Role, String> {
    text.parse::<Role>().map_err(|error| error.to_string())
}
