//! `commonweal doctor`: what keeps a node or a server from working, and what to do about it.

mod server;

use std::path::{Path, PathBuf};

use clap::Args;
use commonweal_client::{DEFAULT_FOLDER, Findings, doctor};
use commonweal_server::store::DATABASE;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server_flags::ServerFolder;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --node and --server, it looks at whatever is in this folder: commonweal-node, commonweal-server.
With a job, it reads the node's rows as the job would, or looks for the nodes that the job needs.")]
pub struct Doctor {
    /// Look at the node in this directory
    #[arg(long, value_name = "FOLDER")]
    pub node: Option<PathBuf>,
    /// Look at the server on this machine
    #[arg(long)]
    pub server: bool,
    /// The server's directory.
    #[command(flatten)]
    pub folder: ServerFolder,
    /// A job that it should serve
    pub job: Option<PathBuf>,
}

impl Doctor {
    /// Looks, and prints a line a finding.
    ///
    /// # Errors
    /// None: what is wrong is a finding. The exit code is 1 if something does not work.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let job = self.job.as_deref();
        let mut found = Vec::new();
        let is_asked = self.node.is_some() || self.server;
        let folder = self.folder.data_dir.as_deref();
        let folder = folder.unwrap_or(Path::new("commonweal-server"));
        if self.server || (!is_asked && folder.join(DATABASE).is_file()) {
            found.push(server::findings(&self.folder, job));
        }
        if let Some(node) = &self.node {
            found.push(doctor(node, job));
        } else if !is_asked && (found.is_empty() || Path::new(DEFAULT_FOLDER).is_dir()) {
            found.push(doctor(Path::new(DEFAULT_FOLDER), job));
        }
        for findings in &found {
            context.console.line(findings);
            for finding in &findings.findings {
                context.console.event("finding", finding);
            }
        }
        match found.iter().all(Findings::is_good) {
            true => Ok(Exit::Success),
            false => Ok(Exit::Failed),
        }
    }
}
