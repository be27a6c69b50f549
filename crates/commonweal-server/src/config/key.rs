//! The keys of a server's configuration: each with its meaning, its default and how its text is read.

use std::path::PathBuf;

use super::{LogFormat, PublicUrl, ServerConfig};

/// One key.
pub(super) struct Key {
    /// As in the file; a dot stands between a table and its key.
    pub(super) name: &'static str,
    /// In a sentence.
    pub(super) meaning: &'static str,
    /// As text; none if the key has no value unless somebody gives one.
    pub(super) default: Option<&'static str>,
    /// Whether it can stand in the file: what says where the file is cannot.
    pub(super) is_in_file: bool,
    /// Sets it, or says what was expected.
    pub(super) set: fn(&mut ServerConfig, &str) -> Result<(), &'static str>,
}

impl Key {
    /// `COMMONWEAL_SERVER_RETENTION_LAST`.
    pub(super) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.replace('.', "_").to_uppercase())
    }

    /// `--retention-last`.
    pub(super) fn flag(&self) -> String {
        format!("--{}", self.name.replace(['.', '_'], "-"))
    }
}

/// What variables of the environment begin with.
pub(super) const PREFIX: &str = "COMMONWEAL_SERVER_";

/// All keys, in the order in which they are explained.
pub(super) const KEYS: &[Key] = &[
    Key {
        name: "data_dir",
        meaning: "the folder in which the server keeps everything",
        default: Some("commonweal-server"),
        is_in_file: false,
        set: |config, text| {
            config.data_dir = path(text)?;
            Ok(())
        },
    },
    Key {
        name: "listen",
        meaning: "address and port to listen at",
        default: Some("0.0.0.0:7070"),
        is_in_file: true,
        set: |config, text| {
            let address = text.parse();
            config.listen = address.map_err(|_| "an address and a port, as 0.0.0.0:7070")?;
            Ok(())
        },
    },
    Key {
        name: "public_url",
        meaning: "how nodes reach the server: goes into its certificate and into join strings",
        default: None,
        is_in_file: true,
        set: |config, text| {
            config.public_url = Some(PublicUrl::parse(text)?);
            Ok(())
        },
    },
    Key {
        name: "tls_cert",
        meaning: "your own certificate chain in PEM, in place of the server's",
        default: None,
        is_in_file: true,
        set: |config, text| {
            config.tls_cert = Some(path(text)?);
            Ok(())
        },
    },
    Key {
        name: "tls_key",
        meaning: "the private key of your own certificate, in PEM",
        default: None,
        is_in_file: true,
        set: |config, text| {
            config.tls_key = Some(path(text)?);
            Ok(())
        },
    },
    Key {
        name: "approve_nodes",
        meaning: "whether an administrator approves each node that has joined before it may take part",
        default: Some("false"),
        is_in_file: true,
        set: |config, text| {
            config.approve_nodes = boolean(text)?;
            Ok(())
        },
    },
    Key {
        name: "staging_mb",
        meaning: "memory for reports that are on their way, in MB; a report that is larger has it alone",
        default: Some("256"),
        is_in_file: true,
        set: |config, text| {
            config.staging_mb = positive(text)?;
            Ok(())
        },
    },
    Key {
        name: "largest_submission_mb",
        meaning: "the largest job with its initial model that is taken, in MB",
        default: Some("512"),
        is_in_file: true,
        set: |config, text| {
            config.largest_submission_mb = positive(text)?;
            Ok(())
        },
    },
    Key {
        name: "connections",
        meaning: "connections at a time; a node that is online holds one",
        default: Some("20000"),
        is_in_file: true,
        set: |config, text| {
            config.connections = positive(text)?;
            Ok(())
        },
    },
    Key {
        name: "joins_per_minute",
        meaning: "failed attempts to join that one address has before it has to wait, for longer after each",
        default: Some("30"),
        is_in_file: true,
        set: |config, text| {
            config.joins_per_minute = positive(text)?;
            Ok(())
        },
    },
    Key {
        name: "requests_per_second",
        meaning: "requests that one node has in a second for long; twice as many at once after a rest",
        default: Some("500"),
        is_in_file: true,
        set: |config, text| {
            config.requests_per_second = positive(text)?;
            Ok(())
        },
    },
    Key {
        name: "retention.last",
        meaning: "models of a run that are kept, from its end: at least 1",
        default: Some("2"),
        is_in_file: true,
        set: |config, text| {
            config.retention.last = positive(text)?;
            Ok(())
        },
    },
    Key {
        name: "retention.best",
        meaning: "whether a run's best model is kept",
        default: Some("true"),
        is_in_file: true,
        set: |config, text| {
            config.retention.best = boolean(text)?;
            Ok(())
        },
    },
    Key {
        name: "retention.every",
        meaning: "keeps the model of each round that is a multiple of this",
        default: None,
        is_in_file: true,
        set: |config, text| {
            config.retention.every = Some(positive(text)?);
            Ok(())
        },
    },
    Key {
        name: "log.format",
        meaning: "how log lines are written: text or json",
        default: Some("text"),
        is_in_file: true,
        set: |config, text| {
            config.log_format = match text {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => return Err("text or json"),
            };
            Ok(())
        },
    },
    Key {
        name: "log.level",
        meaning: "what is logged: error, warn, info, debug or trace, or a filter as info,commonweal_server=debug",
        default: Some("info"),
        is_in_file: true,
        set: |config, text| {
            config.log_level = match text.is_empty() {
                true => return Err("error, warn, info, debug or trace"),
                false => text.to_owned(),
            };
            Ok(())
        },
    },
];

fn path(text: &str) -> Result<PathBuf, &'static str> {
    match text.is_empty() {
        true => Err("a path"),
        false => Ok(PathBuf::from(text)),
    }
}

fn boolean(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(|_| "true or false")
}

fn positive(text: &str) -> Result<u64, &'static str> {
    // A million of anything above is beyond every machine, and its bytes still fit into 64 bits.
    match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("a whole number from 1 to 1000000"),
    }
}
