//! The server's process: the same program as this one, with a data directory of its own.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::connection::Dialer;
use super::error::{LoadError, at, broken};
use super::tls;
use super::usage::Usage;

/// Between two attempts to reach a server that is starting.
const PAUSE: Duration = Duration::from_millis(5);
/// Processor time of a server is looked at so often until it rests.
const REST: Duration = Duration::from_millis(300);
/// What a resting server may take of a processor meanwhile.
const RESTING: Duration = Duration::from_millis(10);

/// A running server. It is killed when dropped.
pub(super) struct Server {
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts `program` on a data directory. It may not be ready yet.
    pub(super) fn start(program: &Path, folder: &Path) -> Result<Self, LoadError> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let address = free.map_err(broken("the server"))?;
        Ok(Self {
            program: program.to_path_buf(),
            folder: folder.to_path_buf(),
            address,
            child: spawn(program, folder, address)?,
        })
    }

    /// Kills the process at once, as a crash does, and starts another one.
    pub(super) fn crash(&mut self) -> Result<(), LoadError> {
        self.kill();
        self.child = spawn(&self.program, &self.folder, self.address)?;
        Ok(())
    }

    /// Waits until the server says that it is ready; what makes connections to it.
    pub(super) async fn ready(&mut self) -> Result<Arc<Dialer>, LoadError> {
        loop {
            if let Ok(dialer) = self.dialer()
                && is_ready(&dialer).await.unwrap_or(false)
            {
                return Ok(Arc::new(dialer));
            }
            let ended = self.child.try_wait().map_err(at(&self.program))?;
            if ended.is_some() {
                return Err(LoadError::Ended {
                    words: last_words(&self.folder),
                });
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until the server has nothing to do any more.
    pub(super) async fn rest(&self) -> Result<(), LoadError> {
        let mut before = self.usage()?.cpu;
        loop {
            sleep(REST).await;
            let now = self.usage()?.cpu;
            if now.saturating_sub(before) <= RESTING {
                return Ok(());
            }
            before = now;
        }
    }

    /// What it takes of the machine.
    pub(super) fn usage(&self) -> Result<Usage, LoadError> {
        let process = self.child.id().to_string();
        Usage::of(&process).map_err(at(Path::new("/proc")))
    }

    fn dialer(&self) -> Result<Dialer, LoadError> {
        let config = tls::client(&self.folder)?;
        Ok(Dialer::new(self.address, tls::name()?, config))
    }

    fn kill(&mut self) {
        // A process that has ended cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(program: &Path, folder: &Path, address: SocketAddr) -> Result<Child, LoadError> {
    let log = log_file(folder);
    let errors = File::create(&log).map_err(at(&log))?;
    let mut command = Command::new(program);
    command.args(["serve", "--data-dir"]).arg(folder);
    // It ends with this process, however that ends.
    command.args(["--listen", &address.to_string(), "--from-parent"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    command.stderr(errors).spawn().map_err(at(program))
}

fn log_file(folder: &Path) -> PathBuf {
    folder.with_extension("log")
}

fn last_words(folder: &Path) -> String {
    let log = std::fs::read_to_string(log_file(folder)).unwrap_or_default();
    let last: Vec<&str> = log.lines().rev().take(3).collect();
    last.into_iter().rev().collect::<Vec<_>>().join("\n")
}

async fn is_ready(dialer: &Dialer) -> io::Result<bool> {
    let mut connection = dialer.dial().await?;
    let head = format!(
        "GET /readyz HTTP/1.1\r\nhost: {}\r\n\r\n",
        commonweal_wire::FEDERATION_NAME
    );
    let answer = connection.exchange(head, &[]).await?;
    Ok(answer.status == 200)
}
