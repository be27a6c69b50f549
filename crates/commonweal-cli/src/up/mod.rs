//! A federation of processes on this machine: one server, one node a client, real sockets between them.
//!
//! The processes end with the one that started them, however that ends: each reads from a pipe that it holds.

mod failure;
mod place;
mod process;

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use commonweal_core::ClientName;
use commonweal_core::job::Job;

use crate::context::DATA_VARIABLE;
use crate::interrupt::Interrupt;
use crate::remote::Account;

pub use failure::UpError;
use place::Admitted;
pub use place::Place;
use process::{Heard, Process};

/// Most nodes that are sensible on one machine.
pub const MOST_NODES: usize = 500;

/// Time between two looks at Ctrl-C while the processes start.
const LOOK: Duration = Duration::from_millis(50);

/// The server's name among the processes.
const SERVER: &str = "server";

/// The processes, which end when this is dropped.
#[derive(Debug)]
pub struct Federation {
    server: Process,
    nodes: Vec<Process>,
    heard: Receiver<Heard>,
    admitted: Admitted,
    // Last, so that the processes have ended when it vanishes.
    _place: Place,
}

/// Where the data of a job are, for processes that run elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Folder that the job's relative paths start from, absolute.
    pub base: &'a Path,
    /// Folder of the data sets that are known by name.
    pub data: Option<&'a Path>,
}

impl Federation {
    /// Starts a server and a node for each of `clients` in `place`. None of them is ready when this returns.
    ///
    /// # Errors
    /// [`UpError`]: a file cannot be written, a process cannot be started.
    pub fn start(
        place: Place,
        job: &Job,
        origin: Origin<'_>,
        clients: &[ClientName],
    ) -> Result<Self, UpError> {
        let program = std::env::current_exe().map_err(|source| UpError::Start {
            name: "commonweal".to_owned(),
            source,
        })?;
        let (tell, heard) = channel();
        place.write_job(job, origin.base)?;
        let command = |name: &str| {
            let mut command = Command::new(&program);
            command.arg("--json").current_dir(place.path());
            // Nothing goes to a proxy that goes to this machine.
            command.env("NO_PROXY", "127.0.0.1").env_remove("no_proxy");
            if let Some(data) = origin.data {
                command.env(DATA_VARIABLE, data);
            }
            (command, place.log(name), tell.clone())
        };
        let nodes = clients.iter().map(|client| {
            let folder = place.write_node(job, origin.base, client)?;
            start_node(client, &folder, command(client.as_str()))
        });
        let nodes = nodes.collect::<Result<_, _>>()?;
        // While the nodes start, and before the server does: it reads who is known when it starts.
        let admitted = place.admit(clients)?;
        let server = start_server(&place, command(SERVER))?;
        Ok(Self {
            nodes,
            server,
            heard,
            admitted,
            _place: place,
        })
    }

    /// Waits until every node is enrolled, and gives an account at the server; none on Ctrl-C.
    ///
    /// # Errors
    /// [`UpError`]: a process ended.
    pub fn enrol(&mut self, interrupt: &Interrupt) -> Result<Option<Account>, UpError> {
        let serving = |heard| match heard {
            Heard::Serving { address } => Some(format!("https://{address}")),
            Heard::Joined | Heard::Ended => None,
        };
        let Some(url) = self.until(interrupt, serving)? else {
            return Ok(None);
        };
        let mut account = None;
        for (node, join) in self.nodes.iter_mut().zip(&mut self.admitted.joins) {
            join.url.clone_from(&url);
            node.write_line(&join.to_string())?;
            account.get_or_insert_with(|| Account {
                url: url.clone(),
                server: join.server.clone(),
                key: self.admitted.key.clone(),
            });
        }
        let mut waiting = self.nodes.len();
        let joined = self.until(interrupt, |heard| {
            waiting -= usize::from(matches!(heard, Heard::Joined));
            (waiting == 0).then_some(())
        })?;
        Ok(account.filter(|_| joined.is_some()))
    }

    /// Looks whether every process lives.
    ///
    /// # Errors
    /// [`UpError::Ended`], with the last lines of its log.
    pub fn check(&mut self) -> Result<(), UpError> {
        let mut processes = std::iter::once(&mut self.server).chain(&mut self.nodes);
        processes.try_for_each(Process::check)
    }

    /// What `wanted` makes of what the processes say, at the first that it makes something of; none on Ctrl-C.
    fn until<T>(
        &mut self,
        interrupt: &Interrupt,
        mut wanted: impl FnMut(Heard) -> Option<T>,
    ) -> Result<Option<T>, UpError> {
        loop {
            if interrupt.is_raised() {
                return Ok(None);
            }
            match self.heard.recv_timeout(LOOK) {
                Ok(heard) => {
                    if matches!(heard, Heard::Ended) {
                        self.check()?;
                    }
                    if let Some(found) = wanted(heard) {
                        return Ok(Some(found));
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => self.check()?,
            }
        }
    }
}

impl Drop for Federation {
    fn drop(&mut self) {
        // All at once: each takes a moment to finish what it has in hand.
        for process in std::iter::once(&mut self.server).chain(&mut self.nodes) {
            process.ask_to_end();
        }
        for process in self.nodes.iter_mut().chain([&mut self.server]) {
            process.end();
        }
    }
}

/// A command that is not whole yet, where its log goes, and who hears what it says.
type Prepared = (Command, std::path::PathBuf, Sender<Heard>);

fn start_server(place: &Place, (mut command, log, tell): Prepared) -> Result<Process, UpError> {
    command.arg("serve").arg("--data-dir").arg(place.server());
    command.args(["--listen", "127.0.0.1:0", "--from-parent"]);
    Process::start(SERVER, command, &log, tell)
}

fn start_node(
    client: &ClientName,
    folder: &Path,
    (mut command, log, tell): Prepared,
) -> Result<Process, UpError> {
    command.arg("node").arg("--dir").arg(folder);
    command.args(["run", "--from-parent"]);
    Process::start(client.as_str(), command, &log, tell)
}
