//! One process of the federation: its pipe, its log, and what it says of itself.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use commonweal_disk::file::FileError;
use serde::Deserialize;

use super::failure::UpError;

/// Lines of a log that tell why a process ended.
const LAST_LINES: usize = 5;

/// Bytes of a log in which those lines are looked for.
const TAIL: u64 = 4096;

/// How long a process may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// Something that a process said.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Heard {
    /// The server takes connections.
    Serving {
        /// Where: `HOST:PORT`.
        address: String,
    },
    /// A node is enrolled.
    Joined,
    /// It says no more.
    #[serde(skip)]
    Ended,
}

/// A process that was started here.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    /// The process ends when this is closed.
    pipe: Option<ChildStdin>,
    log: PathBuf,
}

impl Process {
    /// Starts `command` in a process group of its own, so that a terminal's Ctrl-C reaches the parent alone.
    pub(super) fn start(
        name: &str,
        mut command: Command,
        log: &Path,
        tell: Sender<Heard>,
    ) -> Result<Self, UpError> {
        let file = File::create(log).map_err(|error| FileError::of(log, error))?;
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .map_err(|source| UpError::Start {
                name: name.to_owned(),
                source,
            })?;
        let pipe = child.stdin.take();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || listen(stdout, &tell));
        }
        Ok(Self {
            name: name.to_owned(),
            child,
            pipe,
            log: log.to_path_buf(),
        })
    }

    /// Says something to it.
    pub(super) fn write_line(&mut self, line: &str) -> Result<(), UpError> {
        let written = self.pipe.as_mut().map(|pipe| writeln!(pipe, "{line}"));
        match written {
            Some(Ok(())) => Ok(()),
            // Its pipe is broken because it is gone.
            _ => Err(self.ended(String::new())),
        }
    }

    /// Looks whether it lives.
    pub(super) fn check(&mut self) -> Result<(), UpError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status.to_string())),
            Err(error) => Err(self.ended(error.to_string())),
        }
    }

    pub(super) fn ask_to_end(&mut self) {
        self.pipe = None;
    }

    /// Waits until it has ended; kills it if that takes long.
    pub(super) fn end(&mut self) {
        self.pipe = None;
        let asked_at = Instant::now();
        while asked_at.elapsed() < GRACE {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(2)),
                _ => return,
            }
        }
        // One that cannot be killed has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn ended(&self, how: String) -> UpError {
        UpError::Ended {
            name: self.name.clone(),
            how,
            lines: last_lines(&self.log),
            log: self.log.clone(),
        }
    }
}

fn listen(stdout: impl Read, tell: &Sender<Heard>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        // What else it says is for other readers.
        if let Ok(heard) = serde_json::from_str(&line) {
            let _ = tell.send(heard);
        }
    }
    let _ = tell.send(Heard::Ended);
}

/// The last lines of a log.
fn last_lines(log: &Path) -> Vec<String> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let first = lines.len().saturating_sub(LAST_LINES);
    lines[first..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_log_are_those_that_say_something() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let text: Vec<String> = (1..=9).map(|number| format!("line {number}\n\n")).collect();
        std::fs::write(&log, text.concat()).unwrap();
        let lines = last_lines(&log);
        assert_eq!(lines, ["line 5", "line 6", "line 7", "line 8", "line 9"]);
        assert_eq!(last_lines(Path::new("no such file")), [""; 0]);
    }

    #[test]
    fn what_is_said_for_other_readers_is_not_heard() {
        let (tell, heard) = std::sync::mpsc::channel();
        let said = "{\"v\":1,\"event\":\"other\"}\nnoise\n\
                    {\"v\":1,\"event\":\"serving\",\"address\":\"127.0.0.1:1\",\"more\":2}\n\
                    {\"v\":1,\"event\":\"joined\",\"name\":\"a\"}\n";
        listen(said.as_bytes(), &tell);
        drop(tell);
        let address = "127.0.0.1:1".to_owned();
        assert_eq!(
            heard.iter().collect::<Vec<_>>(),
            [Heard::Serving { address }, Heard::Joined, Heard::Ended]
        );
    }
}
