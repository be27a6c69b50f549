//! Runs the real binary in a folder of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A small job on embedded data: seconds in a debug build.
pub(crate) const JOB: &str = r#"
name = "small"
rounds = 6
seed = 7
[data]
name = "digits"
[simulation]
clients = 10
partition = { kind = "dirichlet", alpha = 0.5 }
[model]
kind = "softmax"
[training]
epochs = 1
batch_size = 10
optimizer = { kind = "sgd", learning_rate = 0.1 }
[cohort]
fraction = 0.5
[evaluation]
every = 2
metrics = ["loss", "accuracy"]
"#;

/// A folder with what a user has in theirs.
pub(crate) struct Place {
    folder: TempDir,
}

/// What a finished command left.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// With `job.toml` holding [`JOB`].
    pub(crate) fn with_job() -> Self {
        Self::holding("job.toml", JOB)
    }

    pub(crate) fn holding(name: &str, text: &str) -> Self {
        let place = Self::new();
        place.write(name, text);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_commonweal"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("COMMONWEAL_DATA")
            .env("COMMONWEAL_HOME", self.path("home"))
            .stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(&self.command(arguments).output().unwrap())
    }

    /// Runs to the end with `said` on standard input.
    pub(crate) fn say(&self, arguments: &[&str], said: &str) -> Ended {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that does not read it has closed it.
        let _ = writeln!(child.stdin.take().unwrap(), "{said}");
        Ended::of(&child.wait_with_output().unwrap())
    }

    /// Starts with events on a pipe, to be listened to.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self
            .command(arguments)
            .arg("--json")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        Running {
            child,
            events: BufReader::new(stdout).lines(),
        }
    }
}

impl Ended {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    /// All events on stdout; each line must be an object with `"v":1` and `"event"`.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.stdout.lines().map(event).collect()
    }

    pub(crate) fn last(&self) -> Value {
        let events = self.events();
        events
            .last()
            .unwrap_or_else(|| panic!("no event; {}", self.stderr))
            .clone()
    }

    /// The ended command, which must have ended well.
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }
}

/// A command that runs.
pub(crate) struct Running {
    child: Child,
    events: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    /// Waits for the event of this name for which `fits` holds.
    pub(crate) fn until(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for line in self.events.by_ref() {
            last = event(&line.unwrap());
            if last["event"] == name && fits(&last) {
                return last;
            }
        }
        panic!("the run ended before the event {name}, with {last}");
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// The events that are left, and the exit code (−1 if a signal ended it).
    pub(crate) fn end(mut self) -> (Vec<Value>, i32) {
        let rest = self.events.map(|line| event(&line.unwrap())).collect();
        (rest, self.child.wait().unwrap().code().unwrap_or(-1))
    }
}

fn event(line: &str) -> Value {
    let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(event["v"], 1, "{line}");
    assert!(event["event"].is_string(), "{line}");
    event
}

/// Names of the files in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Sends a signal to a process, by its name.
pub(crate) fn signal(id: u32, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &id.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Whether a process runs: one that has ended and that nobody has buried does not.
pub(crate) fn is_alive(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Waits until `happened`.
pub(crate) fn until(mut happened: impl FnMut() -> bool) {
    while !happened() {
        std::thread::yield_now();
    }
}
