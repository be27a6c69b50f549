//! Any bytes read as a schema of data: whatever is one reads again as the same, and is a source of no rows.

#![no_main]

use std::sync::LazyLock;

use commonweal_core::job::{Data, Job};
use commonweal_data::{DataSchema, Preparation};

static DATA: LazyLock<Data> = LazyLock::new(|| {
    let job = "name = \"t\"\nrounds = 1\n[data]\npath = \"t.csv\"\nlabel = \"y\"\nmissing = \"indicator\"\n\
               [model]\nkind = \"logistic\"\n";
    Job::parse(job).unwrap().data
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(schema) = DataSchema::parse(bytes) else {
        return;
    };
    let again = DataSchema::parse(schema.encode().as_bytes()).unwrap();
    assert_eq!(again, schema);
    assert_eq!(schema.difference(&again), None);
    let blank = schema.blank(&DATA);
    assert_eq!(blank.roster().rows(), 0);
    let _ = Preparation::new(&blank, &DATA).unwrap();
});
