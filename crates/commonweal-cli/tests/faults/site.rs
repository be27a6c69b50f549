//! A shipped node as a process: joined, killed, frozen and started again over one directory.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use commonweal_wire::JoinString;

use crate::server::{Server, appended, read, signal};

/// A node with its directory. Ends with its value.
pub(crate) struct Site {
    pub(crate) name: String,
    folder: PathBuf,
    child: Option<Child>,
}

impl Site {
    /// Joins under this name with this text in its settings about data, and does not run yet.
    pub(crate) fn join(server: &Server, name: &str, data: &str) -> Self {
        let site = Self::new(server, name);
        let (code, said) = site.try_join(&server.invite(name));
        assert_eq!(code, 0, "{said}");
        let settings = site.folder.join("node/node.toml");
        fs::write(&settings, format!("{}\n{data}", read(&settings))).unwrap();
        site
    }

    /// Not joined.
    pub(crate) fn new(server: &Server, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            folder: server.place(name),
            child: None,
        }
    }

    /// Joins; gives the exit code, and all that was said.
    pub(crate) fn try_join(&self, join: &JoinString) -> (i32, String) {
        let mut child = self
            .command(&["join", "--accept", "all", "--smallest-cohort", "2"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{join}").unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    /// Where its directory is, in which `node` is the node's own.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("node.log")
    }

    /// Everything that its processes have logged.
    pub(crate) fn log(&self) -> String {
        read(&self.log_path())
    }

    /// `commonweal node …` in its directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_commonweal"));
        command
            .args(["--json", "node", "--dir"])
            .arg(self.folder.join("node"))
            .args(arguments)
            .current_dir(&self.folder);
        command
    }

    /// Starts working.
    pub(crate) fn run(&mut self) {
        let command = self.command(&["run"]);
        self.spawn(command);
    }

    /// Starts a command that becomes the node.
    pub(crate) fn spawn(&mut self, mut command: Command) {
        let child = command
            .stdin(Stdio::null())
            .stdout(appended(&self.log_path()))
            .stderr(appended(&self.log_path()))
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Another node with a copy of its directory, key included.
    pub(crate) fn twin(&self) -> Self {
        let folder = self.folder.with_extension("twin");
        copy(&self.folder.join("node"), &folder.join("node"));
        Self {
            name: format!("{} again", self.name),
            folder,
            child: None,
        }
    }

    /// Puts its directory onto a disk that is mounted in its place.
    pub(crate) fn move_to<Disk>(&self, mount: impl FnOnce(&Path) -> Option<Disk>) -> Option<Disk> {
        let (node, aside) = (self.folder.join("node"), self.folder.join("aside"));
        copy(&node, &aside);
        let disk = mount(&node)?;
        copy(&aside, &node);
        Some(disk)
    }

    /// Ends the process as a power cut does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.as_ref().unwrap(), name);
    }

    /// Waits until the process ends by itself, and gives its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        child.wait().unwrap().code()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the log of {}\n{}", self.name, self.log());
        }
    }
}
