//! `commonweal node dry-run|report|model`: what would leave, and what came of it, at the node and nowhere else.

use std::path::{Path, PathBuf};

use clap::Args;
use commonweal_client::Subject;
use commonweal_disk::file;

use super::consent::open;
use super::{NodeFailure, say};
use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;

/// The arguments of `dry-run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every kind of task is done once on this node's own rows, and shown instead of sent: for the owner, and for an
assessment of data protection. It reads the rows and sends nothing.")]
pub struct DryRun {
    /// A run that has asked, or a job file
    #[arg(value_name = "RUN|JOB.TOML")]
    pub subject: String,
    /// Write one page for an assessment
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// The arguments of `report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Trains a model on this node's rows alone and measures both on the rows that the node holds out. It sends nothing.")]
pub struct Report {
    /// A run that is over
    pub run: String,
}

/// The arguments of `model`.
#[derive(Debug, Args)]
pub struct Model {
    /// A run that is over, and whose job lets nodes have the model
    pub run: String,
    /// The file to write
    #[arg(long, short, value_name = "FILE", default_value = "model.safetensors")]
    pub output: PathBuf,
}

impl DryRun {
    pub(super) fn run(&self, dir: &Path, console: &Console) -> Result<Exit, Failure> {
        let path = Path::new(&self.subject);
        let subject = match path.is_file() {
            true => Subject::Job(path),
            false => Subject::Run(&self.subject),
        };
        let dry = open(dir)?.dry_run(subject).map_err(NodeFailure::from)?;
        say(console, "dry_run", &dry);
        if let Some(path) = &self.report {
            file::write_bytes(path, dry.html().as_bytes())?;
            console.note(format_args!("written to {}", path.display()));
        }
        Ok(Exit::Success)
    }
}

impl Report {
    pub(super) fn run(&self, dir: &Path, console: &Console) -> Result<Exit, Failure> {
        let report = open(dir)?.report(&self.run).map_err(NodeFailure::from)?;
        Ok(say(console, "report", &report))
    }
}

impl Model {
    pub(super) fn run(&self, dir: &Path, console: &Console) -> Result<Exit, Failure> {
        if self.output.exists() {
            let path = self.output.clone();
            return Err(Failure::Exists { path });
        }
        let saved = open(dir)?.model(&self.run, &self.output);
        Ok(say(console, "model", &saved.map_err(NodeFailure::from)?))
    }
}
