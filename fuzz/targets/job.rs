//! Job files: no text makes the parser panic, and a job reads as itself from its resolved file.

#![no_main]

use commonweal_core::job::{Job, Manifest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Manifest::parse(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Job::parse(text) {
        Ok(job) => {
            assert_eq!(Job::parse(&job.to_toml()).as_ref(), Ok(&job));
            let manifest = Manifest::of(&job);
            assert!(Manifest::parse(manifest.bytes()).is_ok());
        }
        Err(faults) => assert!(!faults.to_string().is_empty()),
    }
    if let Some((job, setting)) = text.split_once('\0') {
        let _ = Job::parse_with(job, &[setting]);
    }
});
