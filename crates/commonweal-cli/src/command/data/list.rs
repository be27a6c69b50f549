//! `commonweal data list`: the data sets that are known by name.

use std::path::Path;

use commonweal_data::registry::{self, Known};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text_table::TextTable;

#[derive(Serialize)]
struct Line {
    name: &'static str,
    title: &'static str,
    licence: &'static str,
    clients: Option<&'static str>,
    available: bool,
}

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    let folder = context.data_folder();
    let mut table = TextTable::new(&["name", "here", "clients", "licence", "what"]);
    for known in registry::all() {
        let available = is_available(known, folder.as_deref());
        let line = Line {
            name: known.name,
            title: known.title,
            licence: known.licence,
            clients: known.clients,
            available,
        };
        context.console.event("dataset", &line);
        table.row(vec![
            known.name.to_owned(),
            if available { "yes" } else { "no" }.to_owned(),
            known.clients.unwrap_or("–").to_owned(),
            known.licence.to_owned(),
            known.title.to_owned(),
        ]);
    }
    context.console.line(table);
    context
        .console
        .note("\n`commonweal data describe NAME` says more, and how to get it");
    Ok(Exit::Success)
}

/// Whether all its files are in the program or in the folder.
pub(super) fn is_available(known: &Known, folder: Option<&Path>) -> bool {
    known.files.iter().all(|file| {
        let lies = |path: &&str| folder.is_some_and(|folder| folder.join(path).is_file());
        file.embedded.is_some() || file.paths.iter().any(lies)
    })
}
