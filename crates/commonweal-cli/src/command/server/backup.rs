//! `commonweal server backup|restore`: all that a server cannot make again, in one file, and back.

use std::path::{Path, PathBuf};

use clap::Args;
use commonweal_server::admin::{BackupSummary, restore};
use serde::Serialize;

use super::{Office, ServerFailure, runtime};
use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server_flags::ServerFolder;

/// The arguments of `backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// The file to make; it holds the authority's key, so keep it as you keep that
    pub file: PathBuf,
}

/// The arguments of `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// A file that `backup` made; the data directory must be new or empty
    pub file: PathBuf,
}

#[derive(Serialize)]
struct Copied<'a> {
    file: &'a Path,
    data_dir: &'a Path,
    blobs: u64,
    bytes: u64,
}

impl Backup {
    pub(super) fn run(&self, folder: &ServerFolder, console: &Console) -> Result<Exit, Failure> {
        let office = Office::existing(folder)?;
        let data_dir = folder.load()?.data_dir;
        let summary = office.wait(office.admin.backup(&self.file))?;
        console.line(format_args!("{}  {}", self.file.display(), text(&summary)));
        say(console, "backup", &self.file, &data_dir, &summary);
        Ok(Exit::Success)
    }
}

impl Restore {
    pub(super) fn run(&self, folder: &ServerFolder, console: &Console) -> Result<Exit, Failure> {
        let data_dir = folder.load()?.data_dir;
        let restored = runtime()?.block_on(restore(&self.file, &data_dir));
        let summary = restored.map_err(ServerFailure::from)?;
        console.line(format_args!("{}  {}", data_dir.display(), text(&summary)));
        console.note(format_args!(
            "`commonweal serve --data-dir {}` goes on from there",
            data_dir.display()
        ));
        say(console, "restored", &self.file, &data_dir, &summary);
        Ok(Exit::Success)
    }
}

fn say(console: &Console, event: &str, file: &Path, data_dir: &Path, summary: &BackupSummary) {
    let copied = Copied {
        file,
        data_dir,
        blobs: summary.blobs,
        bytes: summary.bytes,
    };
    console.event(event, &copied);
}

fn text(summary: &BackupSummary) -> String {
    let megabytes = summary.bytes as f64 / 1e6;
    format!("{megabytes:.1} MB, {} blobs", summary.blobs)
}
