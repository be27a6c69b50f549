//! Any bytes read as each body of the control API, at either end: a value that survives being written, or a refusal.

#![no_main]

use std::fmt::Debug;

use commonweal_core::job::Job;
use commonweal_wire::control::{
    ApiError, Events, Explanation, Identity, LogLines, NodeInfo, RunInfo, Submission,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(submission) = body::<Submission>(bytes) {
        let _ = Job::parse(&submission.job);
    }
    body::<Vec<RunInfo>>(bytes);
    body::<RunInfo>(bytes);
    body::<Vec<NodeInfo>>(bytes);
    body::<Events>(bytes);
    body::<LogLines>(bytes);
    body::<Explanation>(bytes);
    body::<Identity>(bytes);
    body::<ApiError>(bytes);
});

fn body<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&value).expect("a value that was read");
    let again: T = serde_json::from_slice(&written).expect("a body that was written");
    assert_eq!(again, value);
    Some(value)
}
