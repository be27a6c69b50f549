//! What could keep a node from working, looked at one thing after the other; each finding says what to do.

use std::fmt;
use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use commonweal_core::Digest;
use commonweal_core::job::{Job, Manifest};
use commonweal_disk::file::read_text;
use commonweal_wire::{RefusalCode, path};
use serde::Serialize;

use crate::connection::{CallError, Connection};
use crate::folder::NodeFolder;
use crate::membership::Membership;
use crate::node::Node;
use crate::record::Record;
use crate::runtime::runtime;
use crate::session::Session;
use crate::settings::{DataPlace, Settings};
use crate::trust::{Unverified, host_of};
use crate::verdict::fits;

/// All findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// In the order in which they were looked at.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub subject: &'static str,
    /// Whether it is in order.
    pub state: Health,
    /// What was found.
    pub what: String,
    /// What to do; empty if nothing.
    pub advice: String,
}

/// Whether a thing is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It is.
    Good,
    /// It works, and should be looked at.
    Warning,
    /// The node does not work with it.
    Bad,
}

/// Looks at the node in `folder`, and at its data for `job` if one is given: then its rows are read.
#[must_use]
pub fn doctor(folder: &Path, job: Option<&Path>) -> Findings {
    let folder = NodeFolder::at(folder);
    let mut findings = Findings {
        findings: Vec::new(),
    };
    findings.files(&folder);
    findings.disk(&folder);
    findings.record(&folder);
    let settings = findings.settings(&folder);
    if let Some(membership) = findings.membership(&folder) {
        findings.network(&folder, &membership);
    }
    if let Some(settings) = settings {
        findings.data(&settings);
        if let Some(job) = job {
            findings.job(&folder, &settings, job);
        }
    }
    findings
}

impl Findings {
    /// Whether the node can work.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.state != Health::Bad)
    }

    fn good(&mut self, subject: &'static str, what: impl Into<String>) {
        self.add(subject, Health::Good, what, "");
    }

    fn bad(&mut self, subject: &'static str, what: impl Into<String>, advice: impl Into<String>) {
        self.add(subject, Health::Bad, what, advice);
    }

    fn warn(&mut self, subject: &'static str, what: impl Into<String>, advice: impl Into<String>) {
        self.add(subject, Health::Warning, what, advice);
    }

    fn add(
        &mut self,
        subject: &'static str,
        state: Health,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.findings.push(Finding {
            subject,
            state,
            what: what.into(),
            advice: advice.into(),
        });
    }

    fn files(&mut self, folder: &NodeFolder) {
        if !folder.path().is_dir() {
            let what = format!("{} does not exist", folder.path().display());
            self.bad(
                "directory",
                what,
                "join a federation with `commonweal node join`, or name the node's directory",
            );
            return;
        }
        self.good("directory", folder.path().display().to_string());
        #[cfg(unix)]
        if let Ok(meta) = std::fs::metadata(folder.key()) {
            use std::os::unix::fs::PermissionsExt as _;

            let mode = meta.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                let what = format!("others may read {} (mode {mode:o})", folder.key().display());
                let advice = format!(
                    "chmod 600 {}; if others did, leave and join again",
                    folder.key().display()
                );
                self.warn("key", what, advice);
            }
        }
    }

    /// A file of some size can be written: there is room, and permission.
    fn disk(&mut self, folder: &NodeFolder) {
        let path = folder.path().join("doctor.unfinished");
        let written = std::fs::write(&path, vec![0; PROBE_BYTES]);
        // What cannot be removed was not written either.
        let _ = std::fs::remove_file(&path);
        match written {
            Ok(()) => self.good("disk", format!("{} MB can be written", PROBE_BYTES >> 20)),
            Err(error) => {
                let what = format!("{} cannot be written: {error}", folder.path().display());
                self.bad(
                    "disk",
                    what,
                    "free some space, or correct the directory's owner and permissions",
                );
            }
        }
    }

    fn record(&mut self, folder: &NodeFolder) {
        match Record::of(folder).verify() {
            Ok(lines) => self.good("record", format!("{} lines, unbroken", lines.len())),
            Err(error) => {
                let advice =
                    "find out who changed it; after a power failure the last lines may be missing";
                self.warn("record", error.to_string(), advice);
            }
        }
    }

    fn settings(&mut self, folder: &NodeFolder) -> Option<Settings> {
        match Settings::read(&folder.settings()) {
            Ok(settings) => {
                self.good("node.toml", format!("works from {}", settings.hours));
                Some(settings)
            }
            Err(error) => {
                self.bad("node.toml", error.to_string(), "correct the line");
                None
            }
        }
    }

    fn membership(&mut self, folder: &NodeFolder) -> Option<Membership> {
        match Membership::read(folder) {
            Ok((membership, key)) => {
                let (name, url) = (&membership.name, &membership.url);
                let what = format!("{name} of {url}, key {}", key.public().id());
                self.good("federation", what);
                Some(membership)
            }
            Err(error) => {
                self.bad(
                    "federation",
                    error.to_string(),
                    "join with `commonweal node join`",
                );
                None
            }
        }
    }

    fn network(&mut self, folder: &NodeFolder, membership: &Membership) {
        let proxy = proxy();
        if let Some(proxy) = &proxy {
            self.good("proxy", format!("{proxy} (HTTPS_PROXY)"));
        } else {
            self.good("proxy", "none: HTTPS_PROXY is not set");
            self.name(&membership.url);
        }
        let connection = Node::open(folder.path()).and_then(|node| node.connection());
        let connection = match connection {
            Ok(connection) => connection,
            Err(error) => {
                self.bad("server", error.to_string(), "correct what it says");
                return;
            }
        };
        let answer = runtime().map(|runtime| runtime.block_on(knock(&connection)));
        match answer {
            Ok(answer) => self.server(&connection, answer, proxy.is_some()),
            Err(error) => self.bad("server", error.to_string(), "restart the machine"),
        }
    }

    fn name(&mut self, url: &str) {
        let host = host_of(url);
        match (host, 443).to_socket_addrs() {
            Ok(addresses) => {
                let addresses: Vec<String> =
                    addresses.map(|address| address.ip().to_string()).collect();
                self.good("name", format!("{host} is {}", addresses.join(", ")));
            }
            Err(error) => {
                let what = format!("{host} has no address: {error}");
                let advice = "ask whoever runs your network's DNS; if the site reaches the outside through a proxy, set \
                     HTTPS_PROXY";
                self.bad("name", what, advice);
            }
        }
    }

    fn server(&mut self, connection: &Connection, answer: Result<(), CallError>, has_proxy: bool) {
        let ahead = connection.ahead_ms();
        if ahead != 0 {
            let what = format!("{} s from the server's", ahead / 1000);
            self.warn("clock", what, "set it, and keep it right with NTP");
        }
        let Err(error) = answer else {
            self.good("server", "answers, and knows this node");
            return;
        };
        let what = error.to_string();
        match &error {
            CallError::Refused {
                code: RefusalCode::UnknownBlob,
                ..
            } => {
                self.good(
                    "server",
                    format!("{} answers, and knows this node", connection.url()),
                );
                if ahead == 0 {
                    self.good("clock", "as the server's");
                }
            }
            CallError::Refused { code, .. } => self.bad("server", what, advice_for(*code)),
            CallError::Unverified(Unverified::Inspected { .. }) => {
                self.bad("TLS", what, "show this to whoever runs the proxy");
            }
            CallError::Unverified(Unverified::OtherAuthority { .. }) => {
                self.bad(
                    "TLS",
                    what,
                    "compare fingerprints with the administrator, by telephone",
                );
            }
            CallError::Unverified(Unverified::Invalid { .. }) => {
                self.bad(
                    "TLS",
                    what,
                    "set this machine's clock; if it is right, tell the administrator",
                );
            }
            CallError::Unreachable { .. } if has_proxy => {
                self.bad(
                    "server",
                    what,
                    "look whether the proxy lets this machine through: HTTPS_PROXY, NO_PROXY",
                );
            }
            _ => {
                let advice = "look whether the server runs, and whether a firewall lets connections out to its port";
                self.bad("server", what, advice);
            }
        }
    }

    fn data(&mut self, settings: &Settings) {
        if settings.data.is_empty() {
            self.warn(
                "data",
                "node.toml names no data set",
                "add [data.NAME] with `path`",
            );
        }
        for (name, place) in &settings.data {
            let path: &PathBuf = match place {
                DataPlace::Files(files) => &files.path,
                DataPlace::Share { job, .. } => job,
            };
            match path.exists() {
                true => self.good("data", format!("{name}: {}", path.display())),
                false => {
                    let what = format!("{name}: {} does not exist", path.display());
                    self.bad("data", what, format!("correct [data.{name}] in node.toml"));
                }
            }
        }
    }

    fn job(&mut self, folder: &NodeFolder, settings: &Settings, path: &Path) {
        let text = match read_text(path) {
            Ok(text) => text,
            Err(error) => {
                self.bad("job", error.to_string(), "name a job file");
                return;
            }
        };
        let job = match Job::parse(&text) {
            Ok(job) => job,
            Err(errors) => {
                self.bad("job", errors.to_string(), "correct the job");
                return;
            }
        };
        if let Err(misfit) = fits(settings, &job) {
            self.bad(
                "job",
                misfit.what,
                "change node.toml, or ask for another job",
            );
        }
        let Ok((membership, _)) = Membership::read(folder) else {
            return;
        };
        let manifest = Manifest::of(&job).digest();
        match Session::open(settings, job, manifest, &membership.name) {
            Ok(session) => {
                let (train, held_out) = (session.data.train().len(), session.data.held_out().len());
                let what = format!("fits the job: {train} rows to learn from, {held_out} held out");
                self.good("data schema", what);
            }
            Err(error) => {
                let advice = "correct the file, or say in node.toml how its columns are called: columns = { FILE = \"JOB\" }";
                self.bad("data schema", error.to_string(), advice);
            }
        }
    }
}

/// Enough to tell a full disk.
const PROBE_BYTES: usize = 16 << 20;

/// A signed request that disturbs nobody: for a blob that there is not.
async fn knock(connection: &Connection) -> Result<(), CallError> {
    let target = path::blob(&Digest::of(b"commonweal doctor"));
    let mut nothing = bytes::BytesMut::new();
    let call = connection.get_bytes(&target, &mut nothing, 1 << 20, PATIENCE);
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => answer,
        Err(_) => Err(CallError::Unreachable {
            url: connection.url().to_owned(),
            what: format!("no answer within {} s", PATIENCE.as_secs()),
        }),
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

fn advice_for(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::Unapproved => {
            "tell the administrator this node's fingerprint: `commonweal server approve`"
        }
        RefusalCode::Revoked | RefusalCode::UnknownNode => {
            "ask the administrator for a new invitation"
        }
        RefusalCode::Protocol => "install the same release at both ends",
        _ => "tell the administrator what it says",
    }
}

/// The proxy of the environment, without its password.
fn proxy() -> Option<String> {
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let mut values = names
        .into_iter()
        .filter_map(|name| std::env::var(name).ok());
    let value = values.find(|value| !value.is_empty())?;
    Some(match value.rsplit_once('@') {
        Some((_, address)) => format!("{address}, with a user"),
        None => value,
    })
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, finding) in self.findings.iter().enumerate() {
            let mark = match finding.state {
                Health::Good => "ok",
                Health::Warning => "look",
                Health::Bad => "bad",
            };
            let end = if at + 1 < self.findings.len() {
                "\n"
            } else {
                ""
            };
            write!(f, "{mark:<5} {:<12} {}", finding.subject, finding.what)?;
            if !finding.advice.is_empty() {
                write!(f, "\n{:18} → {}", "", finding.advice)?;
            }
            f.write_str(end)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::{Consent, Join, join};
    use crate::scripted::Scripted;
    use crate::settings::Accept;

    fn subjects(findings: &Findings, state: Health) -> Vec<&'static str> {
        let found = findings
            .findings
            .iter()
            .filter(|finding| finding.state == state);
        found.map(|finding| finding.subject).collect()
    }

    #[test]
    fn a_directory_that_is_no_node_says_how_to_make_it_one() {
        let temporary = tempfile::tempdir().unwrap();
        let findings = doctor(&temporary.path().join("none"), None);
        assert!(!findings.is_good());
        assert!(
            findings.to_string().contains("commonweal node join"),
            "{findings}"
        );
        let bad = findings
            .findings
            .iter()
            .filter(|finding| finding.state != Health::Good);
        assert!(bad.into_iter().all(|finding| !finding.advice.is_empty()));
    }

    #[test]
    fn a_sound_node_is_good_and_a_wrong_clock_is_told() {
        let server = Scripted::start();
        let temporary = tempfile::tempdir().unwrap();
        let how = Join {
            string: server.invitation(),
            name: Some("a".to_owned()),
            ca_file: None,
            consent: Some(Consent {
                accept: Accept::Ask,
                smallest_cohort: 3,
            }),
        };
        join(&NodeFolder::at(temporary.path()), how).unwrap();
        let findings = doctor(temporary.path(), None);
        assert!(findings.is_good(), "{findings}");
        assert_eq!(subjects(&findings, Health::Warning), ["data"]);
        server.script().ahead_ms = 600_000;
        let findings = doctor(temporary.path(), None);
        assert_eq!(subjects(&findings, Health::Warning), ["clock", "data"]);
        assert!(findings.is_good(), "{findings}");
    }
}
