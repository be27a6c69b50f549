//! Any bytes read as an idx file, plain or gzip: a refusal or a data set, never a panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = commonweal_data::idx::parse(bytes);
    let _ = commonweal_data::idx::read(bytes);
});
