//! `commonweal server nodes|approve|revoke|fingerprint`: whom the server knows, and how it is known.

use std::time::SystemTime;

use clap::Args;
use commonweal_core::ClientName;
use commonweal_server::authority::Authority;
use commonweal_server::store::Node;
use serde::Serialize;

use super::{Office, ServerFailure};
use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server_flags::ServerFolder;
use crate::text_table::TextTable;
use crate::time_text::ago;

/// The arguments of `nodes`.
#[derive(Debug, Args)]
pub struct Nodes {}

/// The arguments of `approve`.
#[derive(Debug, Args)]
pub struct Approve {
    /// The node's name
    pub node: String,
}

/// The arguments of `revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The node's name
    pub node: String,
}

/// The arguments of `fingerprint`.
#[derive(Debug, Args)]
pub struct Fingerprint {}

#[derive(Serialize)]
struct Line {
    name: String,
    state: &'static str,
    fingerprint: String,
    version: String,
    data_sets: Vec<String>,
    labels: Vec<String>,
    joined_at_ms: u64,
    seen_at_ms: Option<u64>,
}

#[derive(Serialize)]
struct Changed<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Known {
    authority: Option<String>,
}

impl Nodes {
    pub(super) fn run(&self, folder: &ServerFolder, console: &Console) -> Result<Exit, Failure> {
        let office = Office::existing(folder)?;
        let nodes = office.wait(office.admin.nodes().list())?;
        let mut table = TextTable::new(&["node", "state", "seen", "data sets", "version", "key"]);
        for node in &nodes {
            let line = line(node);
            console.event("node", &line);
            table.row(vec![
                line.name,
                line.state.to_owned(),
                line.seen_at_ms.map_or_else(|| "never".to_owned(), ago),
                line.data_sets.join(", "),
                line.version,
                line.fingerprint,
            ]);
        }
        match nodes.is_empty() {
            true => console.note("no node has joined yet; `commonweal server invite` lets one in"),
            false => console.line(table),
        }
        Ok(Exit::Success)
    }
}

impl Approve {
    pub(super) fn run(&self, folder: &ServerFolder, console: &Console) -> Result<Exit, Failure> {
        let name = name(&self.node)?;
        let office = Office::existing(folder)?;
        office.wait(office.admin.nodes().approve(&name))?;
        console.line(format_args!("{name} may take part"));
        console.event("approved", &Changed { name: &self.node });
        Ok(Exit::Success)
    }
}

impl Revoke {
    pub(super) fn run(&self, folder: &ServerFolder, console: &Console) -> Result<Exit, Failure> {
        let name = name(&self.node)?;
        let office = Office::existing(folder)?;
        office.wait(office.admin.nodes().revoke(&name))?;
        console.line(format_args!(
            "{name} is out; its key opens nothing any more, and a new invitation would be a new key"
        ));
        console.event("revoked", &Changed { name: &self.node });
        Ok(Exit::Success)
    }
}

impl Fingerprint {
    pub(super) fn run(&self, folder: &ServerFolder, console: &Console) -> Result<Exit, Failure> {
        let config = folder.load()?;
        commonweal_disk::file::create_folder(&config.data_dir)?;
        let authority = Authority::open(&config, SystemTime::now()).map_err(ServerFailure::from)?;
        let authority = authority.fingerprint().map(|digest| digest.to_string());
        match &authority {
            Some(digest) => console.line(digest),
            None => console
                .note("the certificate is your own: nodes check it against their machine's roots"),
        }
        console.event("fingerprint", &Known { authority });
        Ok(Exit::Success)
    }
}

fn line(node: &Node) -> Line {
    let statement = &node.statement;
    let labels = statement.labels.iter();
    let mut labels: Vec<String> = labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    labels.sort();
    Line {
        name: node.name.to_string(),
        state: node.state.as_str(),
        fingerprint: node.key.id().to_string(),
        version: statement.version.clone(),
        data_sets: statement.data_sets.clone(),
        labels,
        joined_at_ms: node.joined_at_ms,
        seen_at_ms: node.seen_at_ms,
    }
}

fn name(text: &str) -> Result<ClientName, ServerFailure> {
    Ok(ClientName::try_from(text)?)
}
