//! What every load needs: a fresh data directory with enrolled nodes, a running server, and a researcher's key.

use std::env::temp_dir;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::{TempDir, tempdir};

use super::connection::Dialer;
use super::control::Control;
use super::enrolment::enrol;
use super::error::{LoadError, at};
use super::figure::ServerFigure;
use super::fleet::Fleet;
use super::process::Server;
use super::script::{Hold, Script};
use super::usage::Usage;

/// Name of the data set that the nodes claim to have.
const DATA: &str = "load";
/// Its schema: images as of MNIST, of which the scripted nodes have none.
const SCHEMA: &str =
    "{\"kind\":\"images\",\"shape\":[1,28,28],\"scale\":0.003921569,\"target\":\"class\"}";
/// Open files of a process besides two connections a node.
const OTHER_FILES: usize = 256;

/// How long anything may take that takes seconds where nothing else runs.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// A server that is ready, with nodes enrolled that are not running yet.
pub(super) struct Bed {
    /// Connects to the server.
    pub(super) dialer: Arc<Dialer>,
    /// The server's process.
    pub(super) server: Server,
    /// Enrolled nodes.
    pub(super) nodes: usize,
    key: String,
    scratch: TempDir,
}

impl Bed {
    /// Sets one up for so many nodes.
    ///
    /// # Errors
    /// [`LoadError::Files`] where the limit of open files is too low; what keeps a server from starting.
    pub(super) async fn set(program: &Path, nodes: usize) -> Result<Self, LoadError> {
        expect_files(2 * nodes + OTHER_FILES)?;
        let scratch = tempdir().map_err(at(&temp_dir()))?;
        let folder = scratch.path().join("server");
        fs::create_dir(&folder).map_err(at(&folder))?;
        let mut server = Server::start(program, &folder)?;
        server.ready().await?;
        let key = enrol(&folder, nodes, DATA).await?;
        server.crash()?;
        let dialer = server.ready().await?;
        Ok(Self {
            dialer,
            server,
            nodes,
            key,
            scratch,
        })
    }

    /// The data directory.
    pub(super) fn folder(&self) -> PathBuf {
        self.scratch.path().join("server")
    }

    /// A script for updates of so many values.
    pub(super) fn script(parameters: usize, hold: Hold) -> Script {
        Script::new(DATA, SCHEMA.to_owned(), parameters, hold)
    }

    /// Starts the nodes.
    pub(super) fn start(&self, script: &Arc<Script>) -> Fleet {
        Fleet::start(self.nodes, &self.dialer, script)
    }

    /// A researcher.
    pub(super) fn control(&self) -> Control {
        Control::new(Arc::clone(&self.dialer), self.key.clone())
    }

    /// What both sides have taken so far.
    pub(super) fn spent(&self) -> Result<Spent, LoadError> {
        let own = Usage::own().map_err(at("/proc".as_ref()))?;
        Ok(Spent {
            server: self.server.usage()?.cpu,
            load: own.cpu,
        })
    }
}

/// Processor time of both sides.
#[derive(Clone, Copy)]
pub(super) struct Spent {
    server: Duration,
    load: Duration,
}

impl Spent {
    /// What was spent since `before`, under these names.
    pub(super) fn since(self, before: Self, names: [&'static str; 2]) -> [ServerFigure; 2] {
        let seconds = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64();
        let [server, load] = names;
        [
            ServerFigure::plain(server, seconds(self.server, before.server), "s"),
            ServerFigure::plain(load, seconds(self.load, before.load), "s"),
        ]
    }
}

fn expect_files(needed: usize) -> Result<(), LoadError> {
    let file = Path::new("/proc/self/limits");
    let limits = fs::read_to_string(file).map_err(at(file))?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    // "unlimited" is no number.
    match soft.and_then(|soft| soft.parse().ok()) {
        Some(allowed) if allowed < needed => Err(LoadError::Files { needed, allowed }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use commonweal_data::DataSchema;

    use super::*;

    #[test]
    fn the_nodes_claim_a_schema_in_its_canonical_text() {
        let schema = DataSchema::parse(SCHEMA.as_bytes()).expect("a schema");
        assert_eq!(schema.encode(), SCHEMA);
    }
}
