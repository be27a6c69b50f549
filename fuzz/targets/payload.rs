//! Any bytes read as a client's report: typed fields or a refusal.

#![no_main]

use commonweal_core::Payload;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Payload::from(bytes.to_vec()).parse();
});
