//! `commonweal serve`: a federation's server, until it is told to end.

use std::path::Path;

use clap::Args;
use commonweal_server::{Running, Server};
use commonweal_wire::ServerIdentity;
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::console::Console;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server_flags::{ServerFlags, ServerFolder, log_format};
use crate::serving::Serving;
use crate::{logging, parent};

use super::server::ServerFailure;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
The first start makes the data directory: a certificate authority, a database in one file, a folder of models.
SIGTERM or Ctrl-C finishes what is in hand; a second one ends at once. Runs go on when the server starts again.

Examples:
  commonweal serve
  commonweal serve --data-dir /var/lib/commonweal-server --public-url https://fl.example.org:7070")]
pub struct Serve {
    /// The server's directory.
    #[command(flatten)]
    pub folder: ServerFolder,
    /// The server's settings.
    #[command(flatten)]
    pub flags: ServerFlags,
    /// End when standard input is closed
    #[arg(long, hide = true)]
    pub from_parent: bool,
}

#[derive(Serialize)]
struct Event<'a> {
    #[serde(flatten)]
    serving: &'a Serving,
    data_dir: &'a Path,
}

impl Serve {
    /// Serves.
    ///
    /// # Errors
    /// Settings with faults, a port that is taken, a directory that cannot be written.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let configured = self.flags.load(&self.folder)?;
        logging::start(log_format(&configured), &configured.config.log_level);
        if self.from_parent {
            parent::end_with_it();
        }
        let runtime = Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(ServerFailure::Runtime)?;
        let data_dir = configured.config.data_dir.clone();
        runtime.block_on(async {
            let mut ends = Ends::listen().map_err(Failure::Signal)?;
            let running = Server::start(configured.config).await;
            let running = running.map_err(ServerFailure::from)?;
            announce(&context.console, &running, &data_dir)?;
            ends.next().await;
            tokio::select! {
                () = running.shutdown() => Ok(Exit::Success),
                () = ends.next() => Ok(Exit::Interrupted),
            }
        })
    }
}

/// Says where the server is, how it is known, and what to do next.
fn announce(console: &Console, running: &Running, data_dir: &Path) -> Result<(), Failure> {
    let (authority, name) = match running.identity() {
        ServerIdentity::Authority(digest) => (Some(digest.to_string()), None),
        ServerIdentity::Name(name) => (None, Some(name.clone())),
    };
    let serving = Serving {
        url: running.url().to_string(),
        address: running.address().to_string(),
        authority,
        name,
    };
    serving.write(data_dir).map_err(ServerFailure::from)?;
    console.line(format_args!(
        "serving    {}, listening at {}",
        serving.url, serving.address
    ));
    if let Some(authority) = &serving.authority {
        console.line(format_args!("authority  {authority}"));
    }
    console.line(format_args!(
        "data       {0}\n\n\
         Next:\n  \
         commonweal server --data-dir {0} invite --name SITE                       # lets a node in\n  \
         commonweal server --data-dir {0} keys add --name YOU --role researcher    # lets you submit",
        data_dir.display()
    ));
    console.event(
        "serving",
        &Event {
            serving: &serving,
            data_dir,
        },
    );
    Ok(())
}

/// The signals that end a server.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
