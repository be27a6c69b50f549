//! The shipped server as a process: started, killed and started again over one data directory, behind a proxy.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use commonweal_wire::control::{
    self, ApiError, Events, Identity, NodeInfo, NumberedEvent, RunInfo, Submission,
};
use commonweal_wire::{JoinString, ServerIdentity};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::peer::{Letter, Peer};
use crate::proxy::{Proxy, Weather, clear};

/// What takes longer has gone wrong. Generous: a test machine may be busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A server with its data directory. Ends with its value.
pub(crate) struct Server {
    folder: TempDir,
    data: PathBuf,
    proxy: Proxy,
    port: u16,
    child: Option<Child>,
    key: String,
}

impl Server {
    /// A server with a fresh data directory and a researcher's key.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Self::start_in(folder, data)
    }

    /// The same with its data directory elsewhere.
    pub(crate) fn start_at(data: PathBuf) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), data)
    }

    fn start_in(folder: TempDir, data: PathBuf) -> Self {
        let port = free_port();
        let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], port)), clear());
        let mut server = Self {
            folder,
            data,
            proxy,
            port,
            child: None,
            key: String::new(),
        };
        server.serve();
        let key = server.admin(&["keys", "add", "--name", "ada", "--role", "researcher"]);
        server.key = key["key"].as_str().unwrap().to_owned();
        until("the server knows the new key", || {
            server
                .control::<Identity>("GET", control::IDENTITY, &())
                .is_ok()
        });
        server
    }

    /// Where nodes dial: the proxy.
    pub(crate) fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// Where the server itself listens.
    pub(crate) fn own_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Changes what happens to connections between nodes and server.
    pub(crate) fn turn(&self, weather: Weather) {
        self.proxy.turn(weather);
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// A folder for others that ends with the server.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// Everything that all of its processes have logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_commonweal"));
        command
            .args(["serve", "--json", "--data-dir"])
            .arg(self.data())
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(["--public-url", &format!("https://{}", self.address())])
            .current_dir(self.folder.path());
        command
    }

    fn serve(&mut self) {
        let command = self.command();
        self.spawn(command);
    }

    /// Starts a command that becomes the server, and waits until it listens.
    pub(crate) fn spawn(&mut self, mut command: Command) {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        self.child = Some(child);
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let listens = lines.any(|line| line.contains("\"serving\""));
        assert!(listens, "the server ended at once: {}", self.log());
        std::thread::spawn(move || lines.for_each(drop));
    }

    /// Ends the process as a power cut does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks the process to end, and waits until it has.
    pub(crate) fn end_well(&mut self) {
        self.signal("TERM");
        let status = self.child.take().unwrap().wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// Kills it and starts it again over the same data.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.serve();
    }

    /// Kills it and starts it again over the same data, by a command that is changed before.
    pub(crate) fn restart_as(&mut self, change: impl FnOnce(Command) -> Command) {
        self.kill();
        let command = change(self.command());
        self.spawn(command);
    }

    /// Sends a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.as_ref().unwrap(), name);
    }

    /// The number in this line of the process's `/proc/…/status`, in KiB for memory.
    pub(crate) fn status(&self, line: &str) -> u64 {
        let id = self.child.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status
            .lines()
            .find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
        let number = line.unwrap().split_whitespace().next().unwrap();
        number.parse().unwrap()
    }

    /// Its open files and sockets.
    pub(crate) fn open_files(&self) -> usize {
        let id = self.child.as_ref().unwrap().id();
        fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
    }

    /// `commonweal server …` on its data directory.
    pub(crate) fn administer(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_commonweal"));
        command
            .args(["server", "--data-dir"])
            .arg(self.data())
            .args(arguments);
        command
    }

    /// The same, run; gives the event that it ends with.
    pub(crate) fn admin(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.administer(arguments).arg("--json").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let failed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}{failed}");
        serde_json::from_str(said.lines().last().unwrap_or("null")).unwrap()
    }

    /// A join string for this name.
    pub(crate) fn invite(&self, name: &str) -> JoinString {
        let output = self
            .administer(&["invite", "--name", name])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).parse().unwrap()
    }

    /// `commonweal …` of a researcher who is logged in.
    pub(crate) fn researcher(&self, arguments: &[&str]) -> Command {
        let command = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_commonweal"));
            command
                .args(arguments)
                .env("COMMONWEAL_HOME", self.place("home"));
            command
        };
        let ServerIdentity::Authority(authority) = self.invite("nobody").server else {
            panic!("the server has a certificate of another authority");
        };
        let url = format!("https://{}", self.own_address());
        let mut login = command(&["login", &url, "--ca-fingerprint", &authority.to_string()]);
        let mut login = login
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        writeln!(login.stdin.take().unwrap(), "{}", self.key).unwrap();
        assert!(login.wait().unwrap().success());
        command(arguments)
    }

    /// Somebody with the key of this secret, past the proxy.
    pub(crate) fn peer(&self, secret: [u8; 32]) -> Peer {
        Peer::new(self.own_address(), &self.data().join("ca.pem"), secret)
    }

    /// Asks the control API as the researcher.
    pub(crate) fn control<T: DeserializeOwned>(
        &self,
        method: &str,
        target: &str,
        body: &impl Serialize,
    ) -> Result<T, String> {
        let letter = Letter {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: vec![
                ("authorization".to_owned(), format!("Bearer {}", self.key)),
                ("content-type".to_owned(), "application/json".to_owned()),
            ],
            body: match method {
                "GET" => Vec::new(),
                _ => serde_json::to_vec(body).unwrap(),
            },
        };
        let answer = self.peer([0; 32]).send(&letter);
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.status {
            200..300 => serde_json::from_slice(&answer.body).map_err(|error| error.to_string()),
            status => match serde_json::from_slice::<ApiError>(&answer.body) {
                Ok(error) => Err(format!("{}: {}", error.code, error.message)),
                Err(_) => Err(format!(
                    "{status}: {:?}",
                    String::from_utf8_lossy(&answer.body)
                )),
            },
        }
    }

    /// Waits until so many nodes have said what they have.
    pub(crate) fn until_online(&self, count: usize) {
        until("all nodes are there", || {
            let nodes: Vec<NodeInfo> = self.control("GET", control::NODES, &()).unwrap();
            let there = |node: &&NodeInfo| node.is_online && !node.data_sets.is_empty();
            nodes.iter().filter(there).count() == count
        });
    }

    /// Hands a job in.
    pub(crate) fn submit(&self, job: &str) -> RunInfo {
        let submission = Submission {
            job: job.to_owned(),
            initial: None,
        };
        self.control("POST", control::RUNS, &submission).unwrap()
    }

    pub(crate) fn info(&self, run: &str) -> RunInfo {
        self.control("GET", &control::run(run), &()).unwrap()
    }

    /// Events after this number, as soon as there are any.
    pub(crate) fn events(&self, run: &str, after: u64) -> Result<Events, String> {
        self.control("GET", &control::events(run, after), &())
    }

    /// Follows the run until an event fits, and gives it with all before it; or until the run is over.
    pub(crate) fn follow(
        &self,
        run: &str,
        mut fits: impl FnMut(&NumberedEvent) -> bool,
    ) -> Vec<NumberedEvent> {
        let (start, mut seen) = (Instant::now(), Vec::new());
        loop {
            let after = seen.last().map_or(0, |event: &NumberedEvent| event.number);
            let told = self.events(run, after).unwrap();
            let is_last = told.state.is_over() && told.events.is_empty();
            for event in told.events {
                let found = fits(&event);
                seen.push(event);
                if found {
                    return seen;
                }
            }
            if is_last {
                return seen;
            }
            assert!(start.elapsed() < PATIENCE, "{run} hangs: {}", self.log());
        }
    }

    /// Waits for the run's end.
    pub(crate) fn end(&self, run: &str) -> RunInfo {
        self.follow(run, |_| false);
        self.info(run)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}", self.log());
        }
    }
}

pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Waits until something holds that nobody announces: looks again and again, without taking the processor away from
/// those who are waited for.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "it never comes that {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that nobody listens on now. Below the range from which outgoing connections take theirs.
pub(crate) fn free_port() -> u16 {
    let id = u64::from(std::process::id());
    let drawn = (0..).map(|step| 10_000 + (crate::proxy::mix(id * 1000 + step + nonce()) % 20_000));
    let mut ports = drawn.map(|port| port as u16);
    ports
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap()
}

fn nonce() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(17, Ordering::SeqCst)
}

/// Reads a file whole, or nothing.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A file to append to.
pub(crate) fn appended(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options.create(true).append(true).open(path).unwrap()
}
