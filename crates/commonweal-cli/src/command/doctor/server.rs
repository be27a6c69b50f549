//! What could keep a server from working, looked at one thing after the other.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use commonweal_client::{Finding, Findings, Health};
use commonweal_core::job::Job;
use commonweal_disk::file;
use commonweal_server::authority::{Authority, CA_KEY};
use commonweal_server::config::ServerConfig;
use commonweal_server::store::{DATABASE, Node, NodeState};

use crate::command::server::Office;
use crate::remote::{Presented, RemoteError, presented};
use crate::server_flags::ServerFolder;
use crate::serving::Serving;
use crate::time_text::clock;

/// What is written to see whether there is room: a small model's snapshot.
const PROBE_BYTES: usize = 16 << 20;

/// Days before its end at which a certificate of the operator's should be renewed.
const RENEW_DAYS: i64 = 30;

/// Files and sockets that a server has open besides its connections.
const SPARE_FILES: u64 = 64;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at the server in `folder`, and at its nodes for `job` if one is given.
pub(super) fn findings(folder: &ServerFolder, job: Option<&Path>) -> Findings {
    let mut looked = Looked(Vec::new());
    if let Some(config) = looked.settings(folder) {
        if looked.directory(&config) {
            looked.disk(&config);
            looked.key(&config);
            looked.certificates(&config);
            looked.address(&config);
            looked.store(&config, job);
        }
        looked.files(&config);
    }
    Findings { findings: looked.0 }
}

/// What was found so far.
struct Looked(Vec<Finding>);

impl Looked {
    fn add(&mut self, subject: &'static str, state: Health, what: String, advice: &str) {
        self.0.push(Finding {
            subject,
            state,
            what,
            advice: advice.to_owned(),
        });
    }

    fn good(&mut self, subject: &'static str, what: impl Into<String>) {
        self.add(subject, Health::Good, what.into(), "");
    }

    fn warn(&mut self, subject: &'static str, what: impl Into<String>, advice: &str) {
        self.add(subject, Health::Warning, what.into(), advice);
    }

    fn bad(&mut self, subject: &'static str, what: impl Into<String>, advice: &str) {
        self.add(subject, Health::Bad, what.into(), advice);
    }

    fn settings(&mut self, folder: &ServerFolder) -> Option<ServerConfig> {
        match folder.load() {
            Ok(config) => {
                self.good("settings", "`commonweal config explain` tells each");
                Some(config)
            }
            Err(error) => {
                self.bad("settings", error.to_string(), "correct what it names");
                None
            }
        }
    }

    fn directory(&mut self, config: &ServerConfig) -> bool {
        let path = config.data_dir.display();
        let is_there = config.data_dir.join(DATABASE).is_file();
        match is_there {
            true => self.good("directory", path.to_string()),
            false => self.bad(
                "directory",
                format!("{path} is no server's"),
                "`commonweal serve` makes one; --data-dir names another folder",
            ),
        }
        is_there
    }

    fn disk(&mut self, config: &ServerConfig) {
        let path = config.data_dir.join("doctor.unfinished");
        let written = fs::write(&path, vec![0; PROBE_BYTES]);
        // What cannot be removed was not written either.
        let _ = fs::remove_file(&path);
        match written {
            Ok(()) => self.good("disk", format!("{} MB can be written", PROBE_BYTES >> 20)),
            Err(error) => self.bad(
                "disk",
                format!("{} cannot be written: {error}", config.data_dir.display()),
                "free some space, or correct the directory's owner and permissions",
            ),
        }
    }

    fn key(&mut self, config: &ServerConfig) {
        let path = config.data_dir.join(CA_KEY);
        let Ok(meta) = fs::metadata(&path) else {
            return;
        };
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            self.warn(
                "key",
                format!("others may read {} (mode {mode:o})", path.display()),
                "chmod 600 it; whoever has read it can pose as this server",
            );
        }
    }

    fn certificates(&mut self, config: &ServerConfig) {
        let now = SystemTime::now();
        let authority = match Authority::open(config, now) {
            Ok(authority) => authority,
            Err(error) => {
                return self.bad("certificate", error.to_string(), "correct what it says");
            }
        };
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs().cast_signed());
        for file in authority.certificates() {
            let until = clock(file.dates.not_after.max(0).cast_unsigned() * 1000);
            let what = format!("{}: good until {until} UTC", file.path.display());
            let advice = "renew it; the server's own certificates renew themselves when it starts";
            match file.dates.not_after - now {
                left if left <= 0 || now < file.dates.not_before => {
                    self.bad("certificate", what, advice);
                }
                left if left < RENEW_DAYS * 86_400 => self.warn("certificate", what, advice),
                _ => self.good("certificate", what),
            }
        }
    }

    fn address(&mut self, config: &ServerConfig) {
        let serving = Serving::read(&config.data_dir).ok().flatten();
        let url = serving.map_or_else(|| config.public_url().to_string(), |serving| serving.url);
        if url.contains("//localhost:") || url.contains("//127.") {
            self.warn(
                "address",
                format!("{url} is reached from this machine alone"),
                "for nodes elsewhere: --public-url https://HOST:PORT, or public_url in server.toml",
            );
        }
        let authority = Authority::open(config, SystemTime::now()).ok();
        let own = authority.and_then(|authority| authority.fingerprint());
        match presented(&url, PATIENCE) {
            Ok(Presented::Authority(found)) if Some(found) == own => {
                self.good("server", format!("{url} answers with this authority"));
            }
            Ok(Presented::Name(name)) if own.is_none() => {
                self.good("server", format!("{url} answers as {name}"));
            }
            Ok(_) => self.bad(
                "server",
                format!("{url} answers with another authority than this directory's"),
                "another server listens there: compare --data-dir and --public-url",
            ),
            Err(RemoteError::OtherServer(unverified)) => self.bad(
                "server",
                unverified.to_string(),
                "something in between looks into TLS, or another program listens there",
            ),
            Err(error) => self.bad(
                "server",
                error.to_string(),
                "`commonweal serve` starts it; a firewall has to let its port in",
            ),
        }
    }

    fn store(&mut self, config: &ServerConfig, job: Option<&Path>) {
        let nodes = Office::open(config.clone())
            .and_then(|office| office.wait(office.admin.nodes().list()));
        let nodes = match nodes {
            Ok(nodes) => nodes,
            Err(error) => return self.bad("store", error.to_string(), "do what it says"),
        };
        let enrolled: Vec<&Node> = nodes
            .iter()
            .filter(|node| node.state == NodeState::Enrolled)
            .collect();
        self.good("store", format!("{} nodes enrolled", enrolled.len()));
        if let Some(path) = job {
            self.job(path, &enrolled);
        }
    }

    fn job(&mut self, path: &Path, enrolled: &[&Node]) {
        let text = match file::read_text(path) {
            Ok(text) => text,
            Err(error) => return self.bad("job", error.to_string(), "name a job file"),
        };
        let job = match Job::parse(&text) {
            Ok(job) => job,
            Err(errors) => {
                return self.bad(
                    "job",
                    errors.to_string(),
                    "`commonweal job check` tells more",
                );
            }
        };
        let deployment = &job.deployment;
        let fits = |node: &&&Node| {
            let data_sets = &node.statement.data_sets;
            deployment.names(&node.name) && data_sets.contains(&deployment.data)
        };
        let found = enrolled.iter().filter(fits).count();
        let needed = deployment.clients as usize;
        let what = format!(
            "{found} nodes have the data set {:?}, the job needs {needed}",
            deployment.data
        );
        match found >= needed {
            true => self.good("job", what),
            false => self.bad(
                "job",
                what,
                "invite more nodes, or lower deployment.clients",
            ),
        }
    }

    /// Linux alone says how many files a process may open.
    fn files(&mut self, config: &ServerConfig) {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let soft = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        let Some(soft) = soft else { return };
        let needed = config.connections + SPARE_FILES;
        match soft >= needed {
            true => self.good("open files", format!("{soft} may be open")),
            false => self.warn(
                "open files",
                format!(
                    "{soft} may be open, {} connections need {needed}",
                    config.connections
                ),
                "LimitNOFILE=65536 in the systemd unit, or `ulimit -n`; or set `connections` lower",
            ),
        }
    }
}
