//! A server's configuration: file < environment < flag, and where each value is from.
//!
//! The file is `server.toml` in the data directory, and need not be there. A variable is called
//! `COMMONWEAL_SERVER_…`, a flag as its key with hyphens.

mod file;
mod key;
mod public_url;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use commonweal_core::job::nearest;

use key::{KEYS, Key, PREFIX};

pub use public_url::PublicUrl;

/// The configuration's file in a data directory.
pub const CONFIG: &str = "server.toml";

/// How a server is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// The folder in which it keeps everything.
    pub data_dir: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// How nodes reach it; see [`public_url`](Self::public_url).
    pub public_url: Option<PublicUrl>,
    /// An operator's own certificate chain; there if and only if `tls_key` is.
    pub tls_cert: Option<PathBuf>,
    /// Its private key.
    pub tls_key: Option<PathBuf>,
    /// Whether an administrator approves each node that has joined.
    pub approve_nodes: bool,
    /// Memory for reports that are on their way, in units of 10⁶ bytes.
    pub staging_mb: u64,
    /// The largest submission, in units of 10⁶ bytes.
    pub largest_submission_mb: u64,
    /// Connections at a time.
    pub connections: u64,
    /// Failed attempts to join that one address has before it has to wait, for longer after each.
    pub joins_per_minute: u64,
    /// Requests that one node has in a second.
    pub requests_per_second: u64,
    /// Which models of a run are kept.
    pub retention: Retention,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// What is logged: a filter of `tracing`.
    pub log_level: String,
}

/// Which models of a run are kept. Those of a round that is not named here are let go once the next is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The last ones, at least one.
    pub last: u64,
    /// The best one by the job's metric.
    pub best: bool,
    /// Those of rounds that are multiples of this.
    pub every: Option<u64>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            last: 2,
            best: true,
            every: None,
        }
    }
}

impl Retention {
    /// Whether the model of `round` stays, where `committed` is the last round that changed the model and `best` the
    /// round of the best one so far.
    #[must_use]
    pub fn is_kept(&self, round: u64, committed: u64, best: Option<u64>) -> bool {
        round.saturating_add(self.last) > committed
            || (self.best && best == Some(round))
            || self.every.is_some_and(|every| round.is_multiple_of(every))
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A configuration, with where each of its values is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// The configuration.
    pub config: ServerConfig,
    /// Each key, in a fixed order.
    pub settings: Vec<Setting>,
}

/// A key as it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `retention.last`.
    pub key: &'static str,
    /// As text; none if it has none.
    pub value: Option<String>,
    /// Where it is from.
    pub origin: Origin,
    /// In a sentence.
    pub meaning: &'static str,
}

/// Where a value is from. Each overrides those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has said anything.
    Default,
    /// The file.
    File {
        /// Its path.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        variable: String,
    },
    /// The command line.
    Flag {
        /// `--listen`.
        flag: String,
    },
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there and cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// There is no such key.
    #[error("{origin}: there is no key {found:?}{}", did_you_mean(*.nearest))]
    Unknown {
        /// Where it stands.
        origin: Origin,
        /// As it was written.
        found: String,
        /// The key that may be meant.
        nearest: Option<&'static str>,
    },
    /// The key says where the file is.
    #[error("{origin}: {key} cannot be set in the file: use {flag} or {variable}")]
    NotInFile {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// Its flag.
        flag: String,
        /// Its variable.
        variable: String,
    },
    /// The value is none of this key.
    #[error("{origin}: {key} is {found:?}, expected {expected}")]
    Value {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// What was written.
        found: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// One of two that belong together.
    #[error("{found} is set and {missing} is not: a certificate of your own needs both")]
    Half {
        /// The one that is set.
        found: &'static str,
        /// The other.
        missing: &'static str,
    },
}

impl ServerConfig {
    /// The configuration of `data_dir` as its file, the environment and the command line say.
    ///
    /// # Arguments
    /// `flags` are keys (`retention.last`) with their values; `environment` may hold variables of others.
    ///
    /// # Errors
    /// [`ConfigError`], the first one found.
    pub fn load(
        flags: &[(&str, String)],
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Configured, ConfigError> {
        let mut given = Given::default();
        given.take_environment(environment)?;
        given.take_flags(flags)?;
        let folder = given.0.get("data_dir").map(|(text, _)| text.as_str());
        let folder = folder.or(data_dir_key().default).unwrap_or_default();
        let path = Path::new(folder).join(CONFIG);
        if let Some(text) = file::read(&path)? {
            given.take_file(&text, &path)?;
        }
        given.into_configured()
    }

    /// The configuration that the file's `text` alone gives, as if it lay at `path`.
    ///
    /// # Errors
    /// [`ConfigError`], which names the line.
    pub fn parse(text: &str, path: &Path) -> Result<Configured, ConfigError> {
        let mut given = Given::default();
        given.take_file(text, path)?;
        given.into_configured()
    }

    /// The configuration of a data directory that nobody has configured.
    #[must_use]
    pub fn of(data_dir: impl Into<PathBuf>) -> Self {
        let mut config = Self::empty();
        for key in KEYS {
            if let Some(text) = key.default {
                // A test holds each default against its key.
                let _ = (key.set)(&mut config, text);
            }
        }
        config.data_dir = data_dir.into();
        config
    }

    /// How nodes reach the server: as configured, else by this machine itself at the port that it listens at.
    #[must_use]
    pub fn public_url(&self) -> PublicUrl {
        self.public_url
            .clone()
            .unwrap_or_else(|| PublicUrl::of_this_machine(self.listen.port()))
    }

    fn empty() -> Self {
        Self {
            data_dir: PathBuf::new(),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            public_url: None,
            tls_cert: None,
            tls_key: None,
            approve_nodes: false,
            staging_mb: 0,
            largest_submission_mb: 0,
            connections: 0,
            joins_per_minute: 0,
            requests_per_second: 0,
            retention: Retention {
                last: 0,
                best: false,
                every: None,
            },
            log_format: LogFormat::Text,
            log_level: String::new(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => f.write_str(variable),
            Self::Flag { flag } => f.write_str(flag),
        }
    }
}

/// What was given, by key, with where.
#[derive(Default)]
struct Given(BTreeMap<&'static str, (String, Origin)>);

impl Given {
    fn take_environment(
        &mut self,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (variable, text) in environment {
            if !variable.starts_with(PREFIX) {
                continue;
            }
            let Some(key) = KEYS.iter().find(|key| key.variable() == variable) else {
                let name = variable[PREFIX.len()..].to_lowercase();
                return Err(unknown(name, Origin::Environment { variable }));
            };
            let origin = Origin::Environment { variable };
            self.0.insert(key.name, (text, origin));
        }
        Ok(())
    }

    fn take_flags(&mut self, flags: &[(&str, String)]) -> Result<(), ConfigError> {
        for (name, text) in flags {
            let Some(key) = KEYS.iter().find(|key| key.name == *name) else {
                let flag = format!("--{name}");
                return Err(unknown((*name).to_owned(), Origin::Flag { flag }));
            };
            let origin = Origin::Flag { flag: key.flag() };
            self.0.insert(key.name, (text.clone(), origin));
        }
        Ok(())
    }

    /// Last, for what is known already says where the file is; and weakest.
    fn take_file(&mut self, text: &str, path: &Path) -> Result<(), ConfigError> {
        for entry in file::parse(text, path)? {
            let origin = Origin::File {
                path: path.to_path_buf(),
                line: entry.line,
            };
            let Some(key) = KEYS.iter().find(|key| key.name == entry.name) else {
                return Err(unknown(entry.name, origin));
            };
            if !key.is_in_file {
                return Err(ConfigError::NotInFile {
                    origin,
                    key: key.name,
                    flag: key.flag(),
                    variable: key.variable(),
                });
            }
            let text = entry.text.unwrap_or_default();
            self.0.entry(key.name).or_insert((text, origin));
        }
        Ok(())
    }

    fn into_configured(mut self) -> Result<Configured, ConfigError> {
        let mut config = ServerConfig::empty();
        let mut settings = Vec::with_capacity(KEYS.len());
        for key in KEYS {
            let (value, origin) = match self.0.remove(key.name) {
                Some((text, origin)) => (Some(text), origin),
                None => (key.default.map(str::to_owned), Origin::Default),
            };
            if let Some(found) = &value {
                (key.set)(&mut config, found).map_err(|expected| ConfigError::Value {
                    origin: origin.clone(),
                    key: key.name,
                    found: found.clone(),
                    expected,
                })?;
            }
            settings.push(Setting {
                key: key.name,
                value,
                origin,
                meaning: key.meaning,
            });
        }
        let half = |found, missing| Err(ConfigError::Half { found, missing });
        match (&config.tls_cert, &config.tls_key) {
            (Some(_), None) => half("tls_cert", "tls_key"),
            (None, Some(_)) => half("tls_key", "tls_cert"),
            _ => Ok(Configured { config, settings }),
        }
    }
}

fn data_dir_key() -> &'static Key {
    &KEYS[0]
}

fn unknown(found: String, origin: Origin) -> ConfigError {
    ConfigError::Unknown {
        origin,
        nearest: nearest(&found, KEYS.iter().map(|key| key.name)),
        found,
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |key| format!("; did you mean {key}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        file: &str,
        environment: &[(&str, &str)],
        flags: &[(&str, &str)],
    ) -> Result<Configured, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CONFIG), file).unwrap();
        let mut given = vec![("data_dir", folder.path().to_str().unwrap().to_owned())];
        given.extend(flags.iter().map(|(key, text)| (*key, (*text).to_owned())));
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        ServerConfig::load(&given, environment.iter().map(own))
    }

    fn setting<'a>(configured: &'a Configured, key: &str) -> &'a Setting {
        let mut settings = configured.settings.iter();
        settings.find(|setting| setting.key == key).unwrap()
    }

    fn refusal(file: &str) -> String {
        let error = load(file, &[], &[]).unwrap_err().to_string();
        let start = error.find(CONFIG).unwrap();
        error[start..].to_owned()
    }

    #[test]
    fn a_flag_overrides_a_variable_and_a_variable_overrides_the_file() {
        let file = "staging_mb = 1\nconnections = 1\n[retention]\nlast = 5\n";
        let environment = [
            ("COMMONWEAL_SERVER_STAGING_MB", "2"),
            ("COMMONWEAL_SERVER_CONNECTIONS", "2"),
            ("COMMONWEAL_DATA", "elsewhere"),
        ];
        let configured = load(file, &environment, &[("staging_mb", "3")]).unwrap();
        let ServerConfig {
            staging_mb,
            connections,
            retention,
            ..
        } = &configured.config;
        assert_eq!((*staging_mb, *connections, retention.last), (3, 2, 5));
        let origin = |key| setting(&configured, key).origin.to_string();
        assert_eq!(origin("staging_mb"), "--staging-mb");
        assert_eq!(origin("connections"), "COMMONWEAL_SERVER_CONNECTIONS");
        assert!(origin("retention.last").ends_with("server.toml:4"));
        assert_eq!(origin("listen"), "default");
    }

    #[test]
    fn without_any_word_each_key_has_its_default() {
        let configured = load("", &[], &[]).unwrap();
        let folder = configured.config.data_dir.clone();
        assert_eq!(configured.config, ServerConfig::of(folder));
        for key in KEYS {
            let mut config = ServerConfig::empty();
            assert_eq!(
                key.default
                    .map_or(Ok(()), |text| (key.set)(&mut config, text)),
                Ok(())
            );
        }
    }

    #[test]
    fn a_misspelt_key_is_refused_with_the_one_that_may_be_meant() {
        let error = refusal("\nlistn = \"0.0.0.0:1\"");
        assert_eq!(
            error,
            "server.toml:2: there is no key \"listn\"; did you mean listen?"
        );
        let error = load("", &[("COMMONWEAL_SERVER_LISTN", "x")], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "COMMONWEAL_SERVER_LISTN: there is no key \"listn\"; did you mean listen?"
        );
    }

    #[test]
    fn a_value_that_is_none_is_refused_with_its_place_and_what_was_expected() {
        for (file, expected) in [
            (
                "listen = \"here\"",
                "server.toml:1: listen is \"here\", expected an address and a port, as 0.0.0.0:7070",
            ),
            (
                "staging_mb = 0",
                "server.toml:1: staging_mb is \"0\", expected a whole number from 1 to 1000000",
            ),
            (
                "[log]\nformat = [\"json\"]",
                "server.toml:2: log.format is \"\", expected text or json",
            ),
            (
                "public_url = \"http://a\"",
                "server.toml:1: public_url is \"http://a\", expected https://HOST or https://HOST:PORT, without a path",
            ),
            (
                "data_dir = \"x\"",
                "server.toml:1: data_dir cannot be set in the file: use --data-dir or COMMONWEAL_SERVER_DATA_DIR",
            ),
        ] {
            assert_eq!(refusal(file), expected);
        }
        assert!(refusal("listen =").starts_with("server.toml:1: "));
    }

    #[test]
    fn the_last_two_models_the_best_and_every_fourth_stay() {
        let retention = Retention {
            last: 2,
            best: true,
            every: Some(4),
        };
        let kept = (1..=10).filter(|round| retention.is_kept(*round, 10, Some(6)));
        assert_eq!(kept.collect::<Vec<_>>(), [4, 6, 8, 9, 10]);
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let error = load("tls_cert = \"a.pem\"", &[], &[]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("tls_cert is set and tls_key is not")
        );
    }
}
