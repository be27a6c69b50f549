//! `node.toml`: any text reads as settings or is refused with its file and line; what is accepted is in bounds.
//!
//! The decoder is compiled from its own files: its crate brings TLS, which would cost every run of the targets minutes.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "a target reads and does not write")]
#[path = "../../crates/commonweal-client/src/document.rs"]
mod document;
#[allow(dead_code, reason = "a target asks for no time of day")]
#[path = "../../crates/commonweal-client/src/hours.rs"]
mod hours;
#[allow(dead_code, reason = "a target opens no file")]
#[path = "../../crates/commonweal-client/src/settings.rs"]
mod settings;

use settings::{DataPlace, Settings};

fuzz_target!(|text: &str| {
    let base = Path::new("/srv/node");
    match Settings::parse(text, &base.join("node.toml")) {
        Ok(settings) => {
            assert!(settings.smallest_cohort > 0 && settings.threads > 0 && settings.memory_mb > 0);
            assert_eq!(settings.hours.to_string().parse(), Ok(settings.hours));
            for place in settings.data.values() {
                let (DataPlace::Files(settings::DataFiles { path, .. })
                | DataPlace::Share { job: path, .. }) = place;
                assert!(path.is_absolute());
            }
            for trainer in settings.trainers.values() {
                assert!(!trainer.command.is_empty());
            }
        }
        Err(error) => {
            assert!(
                (1..=text.lines().count().max(1) + 1).contains(&error.line),
                "{error}"
            );
            assert!(error.to_string().starts_with("/srv/node/node.toml:"));
        }
    }
});
