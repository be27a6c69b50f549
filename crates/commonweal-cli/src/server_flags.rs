//! Flags that configure a server: each a key of `server.toml`.

use std::path::PathBuf;

use clap::Args;
use commonweal_server::config::{ConfigError, Configured, Origin, ServerConfig};

use crate::logging::LogFormat;

/// The folder in which a server keeps everything.
#[derive(Clone, Debug, Args)]
pub struct ServerFolder {
    // In the place of the global flag of this name, which is about data sets.
    /// The server's data directory [default: commonweal-server]
    #[arg(long, id = "data_dir", global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
}

/// All keys of a server's configuration but its folder.
#[derive(Clone, Debug, Args)]
#[command(
    next_help_heading = "Server options, also as keys of server.toml and as COMMONWEAL_SERVER_… variables"
)]
pub struct ServerFlags {
    /// Address and port to listen at [default: 0.0.0.0:7070]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// How nodes reach the server; goes into its certificate and into join strings
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Your own certificate chain in PEM
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// Its private key in PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Whether an administrator approves each node that has joined
    #[arg(long, value_name = "true|false")]
    pub approve_nodes: Option<String>,
    /// Memory for reports that are on their way
    #[arg(long, value_name = "MB")]
    pub staging_mb: Option<String>,
    /// The largest job with its initial model that is taken
    #[arg(long, value_name = "MB")]
    pub largest_submission_mb: Option<String>,
    /// Connections at a time
    #[arg(long, value_name = "N")]
    pub connections: Option<String>,
    /// Failed attempts to join that one address has before it has to wait, for longer after each
    #[arg(long, value_name = "N")]
    pub joins_per_minute: Option<String>,
    /// Requests that one node has in a second for long; twice as many at once after a rest
    #[arg(long, value_name = "N")]
    pub requests_per_second: Option<String>,
    /// Models of a run that are kept, from its end
    #[arg(long, value_name = "N")]
    pub retention_last: Option<String>,
    /// Whether a run's best model is kept
    #[arg(long, value_name = "true|false")]
    pub retention_best: Option<String>,
    /// Keeps the model of each round that is a multiple of this
    #[arg(long, value_name = "N")]
    pub retention_every: Option<String>,
    /// How the log on stderr is written: text or json [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// What is logged: error, warn, info, debug, trace, or a filter
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

impl ServerFlags {
    /// The configuration of the directory as file, environment and these flags say.
    ///
    /// # Errors
    /// [`ConfigError`], with the place of what is wrong.
    pub fn load(&self, folder: &ServerFolder) -> Result<Configured, ConfigError> {
        let flags = [
            ("listen", &self.listen),
            ("public_url", &self.public_url),
            ("tls_cert", &self.tls_cert),
            ("tls_key", &self.tls_key),
            ("approve_nodes", &self.approve_nodes),
            ("staging_mb", &self.staging_mb),
            ("largest_submission_mb", &self.largest_submission_mb),
            ("connections", &self.connections),
            ("joins_per_minute", &self.joins_per_minute),
            ("requests_per_second", &self.requests_per_second),
            ("retention.last", &self.retention_last),
            ("retention.best", &self.retention_best),
            ("retention.every", &self.retention_every),
            ("log.format", &self.log_format),
            ("log.level", &self.log_level),
        ];
        let given = flags
            .into_iter()
            .filter_map(|(key, text)| Some((key, text.clone()?)));
        load(folder, given)
    }
}

impl ServerFolder {
    /// The configuration of the directory as file and environment say.
    ///
    /// # Errors
    /// [`ConfigError`], with the place of what is wrong.
    pub fn load(&self) -> Result<ServerConfig, ConfigError> {
        load(self, []).map(|configured| configured.config)
    }
}

/// How the log is to be written; none if nobody has said.
pub(crate) fn log_format(configured: &Configured) -> Option<LogFormat> {
    use commonweal_server::config::LogFormat as Format;

    let mut settings = configured.settings.iter();
    let setting = settings.find(|setting| setting.key == "log.format")?;
    match (&setting.origin, configured.config.log_format) {
        (Origin::Default, _) => None,
        (_, Format::Text) => Some(LogFormat::Text),
        (_, Format::Json) => Some(LogFormat::Json),
    }
}

fn load<'a>(
    folder: &ServerFolder,
    flags: impl IntoIterator<Item = (&'a str, String)>,
) -> Result<Configured, ConfigError> {
    let data_dir = folder.data_dir.as_deref();
    let data_dir = data_dir.map(|path| ("data_dir", path.to_string_lossy().into_owned()));
    let flags: Vec<(&str, String)> = data_dir.into_iter().chain(flags).collect();
    let environment = std::env::vars_os();
    // What is no Unicode is no variable of a server's.
    let environment = environment
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
    ServerConfig::load(&flags, environment)
}
