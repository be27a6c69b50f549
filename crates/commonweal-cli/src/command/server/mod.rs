//! `commonweal server`: what an administrator does on the server's machine, whether the server runs or not.

mod backup;
mod failure;
mod invite;
mod keys;
mod nodes;
mod status;

use clap::{Args, Subcommand};
use commonweal_server::admin::Admin;
use commonweal_server::config::ServerConfig;
use commonweal_server::store::DATABASE;
use tokio::runtime::{Builder, Runtime};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server_flags::ServerFolder;

pub use failure::ServerFailure;

/// The arguments.
#[derive(Debug, Args)]
pub struct Server {
    /// The server's directory.
    #[command(flatten)]
    pub folder: ServerFolder,
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What an administrator does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Print a join string that lets one node in, once
    Invite(invite::Invite),
    /// List the nodes, with the fingerprints of their keys
    Nodes(nodes::Nodes),
    /// Let a node take part that has joined and waits
    Approve(nodes::Approve),
    /// Take a node's key back
    Revoke(nodes::Revoke),
    /// Add, list and revoke the keys of researchers, viewers and administrators
    Keys(keys::Keys),
    /// Tell where the server is reached, how it is known, and whom it knows
    Status(status::Status),
    /// Write all that the server cannot make again to one file, while it runs
    Backup(backup::Backup),
    /// Put a backup into a new data directory
    Restore(backup::Restore),
    /// Print the fingerprint by which nodes and researchers know this server
    Fingerprint(nodes::Fingerprint),
}

impl Server {
    /// Does it.
    ///
    /// # Errors
    /// [`ServerFailure`].
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let (folder, console) = (&self.folder, &context.console);
        match &self.action {
            Action::Invite(action) => action.run(folder, console),
            Action::Nodes(action) => action.run(folder, console),
            Action::Approve(action) => action.run(folder, console),
            Action::Revoke(action) => action.run(folder, console),
            Action::Keys(action) => action.run(folder, console),
            Action::Status(action) => action.run(folder, console),
            Action::Backup(action) => action.run(folder, console),
            Action::Restore(action) => action.run(folder, console),
            Action::Fingerprint(action) => action.run(folder, console),
        }
    }
}

/// The data directory at hand, and a way to wait for it.
pub(crate) struct Office {
    pub(crate) admin: Admin,
    runtime: Runtime,
}

impl Office {
    /// Opens the directory of `config`, and makes what is not there.
    pub(crate) fn open(config: ServerConfig) -> Result<Self, ServerFailure> {
        let runtime = runtime()?;
        let admin = runtime.block_on(Admin::open(config))?;
        Ok(Self { admin, runtime })
    }

    /// Opens a directory in which a server was started before.
    pub(crate) fn existing(folder: &ServerFolder) -> Result<Self, Failure> {
        let config = folder.load()?;
        if !config.data_dir.join(DATABASE).is_file() {
            let folder = config.data_dir;
            return Err(ServerFailure::NoServer { folder }.into());
        }
        Ok(Self::open(config)?)
    }

    /// Waits for what the administrator does.
    pub(crate) fn wait<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ServerFailure>
    where
        ServerFailure: From<E>,
    {
        Ok(self.runtime.block_on(work)?)
    }
}

/// What waits for the store and for files.
fn runtime() -> Result<Runtime, ServerFailure> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(ServerFailure::Runtime)
}
