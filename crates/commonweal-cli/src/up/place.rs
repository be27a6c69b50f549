//! The directory of a federation of processes: a server's data, a folder a node, a log a process.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use commonweal_core::ClientName;
use commonweal_core::job::{BUILT_IN_TRAINER, DataSource, Job, TrainerSpec};
use commonweal_disk::file::{self, FileError};
use commonweal_server::config::ServerConfig;
use commonweal_server::store::Role;
use commonweal_wire::JoinString;
use tempfile::TempDir;

use super::failure::UpError;
use crate::command::server::Office;

/// How long the invitations are good.
const EXPIRES: Duration = Duration::from_secs(3600);

/// The directory: it vanishes with this value unless it was given.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    _temporary: Option<TempDir>,
}

impl Place {
    /// The directory at `path`, or one that vanishes.
    ///
    /// # Errors
    /// [`UpError::File`]: it cannot be made.
    pub fn new(path: Option<&Path>) -> Result<Self, UpError> {
        let (path, temporary) = match path {
            Some(path) => (path.to_path_buf(), None),
            None => {
                let folder = std::env::temp_dir();
                let temporary = tempfile::Builder::new()
                    .prefix("commonweal-up-")
                    .tempdir_in(&folder)
                    .map_err(|error| FileError::of(&folder, error))?;
                (temporary.path().to_path_buf(), Some(temporary))
            }
        };
        for folder in ["", "logs", "nodes"] {
            file::create_folder(&path.join(folder))?;
        }
        // The processes run in it.
        let path = std::path::absolute(&path).map_err(|error| FileError::of(&path, error))?;
        Ok(Self {
            path,
            _temporary: temporary,
        })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The server's data directory.
    pub(super) fn server(&self) -> PathBuf {
        self.path.join("server")
    }

    /// Lets in a node for each of `clients`, and somebody who submits. The server need not run.
    pub(super) fn admit(&self, clients: &[ClientName]) -> Result<Admitted, UpError> {
        let office = Office::open(ServerConfig::of(self.server()))?;
        let names: Vec<_> = clients.iter().cloned().map(Some).collect();
        let now = SystemTime::now();
        let invited = office.wait(office.admin.invite(&names, EXPIRES, now))?;
        let key = office.wait(office.admin.add_key("up", Role::Researcher, now))?;
        Ok(Admitted {
            key: key.as_str().to_owned(),
            joins: invited.into_iter().map(|invited| invited.join).collect(),
        })
    }

    /// The log of a process.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.path
            .join("logs")
            .join(format!("{}.log", file_name(name)))
    }

    /// Writes the job whose simulation says which rows each node has, its paths absolute.
    pub(super) fn write_job(&self, job: &Job, base: &Path) -> Result<(), UpError> {
        let mut job = job.clone();
        let absolute = |path: &mut String| *path = base.join(&*path).display().to_string();
        if let DataSource::Path(path) = &mut job.data.source {
            absolute(path);
        }
        let files = &mut job.data.files;
        let others = [
            &mut files.labels_path,
            &mut files.test_path,
            &mut files.test_labels_path,
        ];
        others.into_iter().flatten().for_each(absolute);
        let path = self.path.join("job.toml");
        Ok(file::write_bytes(&path, job.to_toml().as_bytes())?)
    }

    /// Makes a node's folder, with what its owner would write.
    pub(super) fn write_node(
        &self,
        job: &Job,
        base: &Path,
        client: &ClientName,
    ) -> Result<PathBuf, UpError> {
        let folder = self.path.join("nodes").join(file_name(client.as_str()));
        file::create_folder(&folder)?;
        let text = settings(job, base, client, &self.path.join("job.toml"));
        file::write_bytes(&folder.join("node.toml"), text.as_bytes())?;
        Ok(folder)
    }
}

/// Whom the server knows before it starts.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Of somebody who submits.
    pub(super) key: String,
    /// An invitation for each client, to an address that is not known yet.
    pub(super) joins: Vec<JoinString>,
}

/// A node of a trial: it trusts the only researcher there is, who has all the rows anyway.
fn settings(job: &Job, base: &Path, client: &ClientName, shared: &Path) -> String {
    let mut text = String::from("accept = \"all\"\nsmallest_cohort = 1\nthreads = 1\n");
    let name = quoted(&job.deployment.data);
    let (shared, client) = (
        quoted(&shared.display().to_string()),
        quoted(client.as_str()),
    );
    let _ = writeln!(
        text,
        "[data.{name}]\nshare = {{ job = {shared}, client = {client} }}"
    );
    let trainer = job.training.trainer.as_str();
    if trainer != BUILT_IN_TRAINER
        && let Some(spec) = job.simulation.trainers.get(trainer)
    {
        let _ = writeln!(
            text,
            "[trainers.{}]\n{}",
            quoted(trainer),
            command(spec, base)
        );
    }
    text
}

/// A trainer's command, its files found from anywhere.
fn command(spec: &TrainerSpec, base: &Path) -> String {
    let found = |word: &String| {
        let path = base.join(word);
        match path.is_file() {
            true => quoted(&path.display().to_string()),
            false => quoted(word),
        }
    };
    let words: Vec<String> = spec.command.iter().map(found).collect();
    let mut text = format!("command = [{}]\n", words.join(", "));
    if !spec.devices.is_empty() {
        let devices: Vec<String> = spec.devices.iter().map(|device| quoted(device)).collect();
        let _ = writeln!(text, "devices = [{}]", devices.join(", "));
    }
    if !spec.environment.is_empty() {
        let variables = spec.environment.iter();
        let variables: Vec<String> = variables
            .map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)))
            .collect();
        let _ = writeln!(text, "environment = {{ {} }}", variables.join(", "));
    }
    text
}

/// A text as a basic string of TOML.
fn quoted(text: &str) -> String {
    // What JSON escapes, TOML escapes the same way.
    serde_json::Value::from(text).to_string()
}

/// A client's name as a file's, whatever is in it.
fn file_name(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => text.push(byte.into()),
            _ => {
                let _ = write!(text, "%{byte:02x}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_different_names_have_different_folders_within_the_place() {
        assert_eq!(file_name("client-003"), "client-003");
        assert_eq!(file_name("../etc"), "%2e%2e%2fetc");
        assert_ne!(file_name("a b"), file_name("a%20b"));
    }
}
