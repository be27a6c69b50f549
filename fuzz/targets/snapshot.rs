//! Any bytes read as the state of a run, as they are and with their checksum put right: a state or a refusal.

#![no_main]

use commonweal_core::{Digest, Snapshot};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Snapshot::parse(bytes);
    if let Some((body, _)) = bytes.split_last_chunk::<32>() {
        let mut honest = body.to_vec();
        honest.extend(Digest::of(body).as_bytes());
        if let Ok(snapshot) = Snapshot::parse(&honest) {
            let _ = snapshot.round();
        }
    }
});
