//! Any bytes read as a table: what is inferred about a file must be able to read it or refuse it by line and column.

#![no_main]

use commonweal_data::table;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(inferred) = table::infer(bytes, "label", Some("client")) {
        let _ = table::read(bytes, &inferred.schema);
        let _ = table::read_features(bytes, &inferred.schema);
        let _ = inferred.schema.to_toml();
    }
});
