//! `server.toml`: any text reads as a configuration or is refused with its file; what is read holds of each of its keys.
//!
//! The decoder is compiled from its own files: its crate brings TLS and SQLite, which would cost every run of the
//! targets minutes.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "a target reads no environment")]
#[path = "../../crates/commonweal-server/src/config/mod.rs"]
mod config;

use config::{ConfigError, Origin, ServerConfig};

fuzz_target!(|text: &str| {
    let path = Path::new("/srv/server/server.toml");
    match ServerConfig::parse(text, path) {
        Ok(configured) => {
            let config = &configured.config;
            assert_eq!(config.tls_cert.is_some(), config.tls_key.is_some());
            assert!(config.staging_mb > 0 && config.connections > 0 && config.retention.last > 0);
            for setting in &configured.settings {
                match &setting.origin {
                    Origin::Default => {}
                    Origin::File { line, .. } => assert!((1..=text.lines().count()).contains(line)),
                    other => panic!("{} is from {other}", setting.key),
                }
            }
        }
        Err(ConfigError::Half { .. }) => {}
        Err(error) => assert!(error.to_string().starts_with("/srv/server/server.toml:")),
    }
});
