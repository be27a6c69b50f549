//! The transcript in `docs/worker-protocol.md`, byte for byte.

use std::fs;
use std::path::Path;

use commonweal_core::{ClientState, MetricKind};
use commonweal_worker::Frame;

use crate::scripted::*;

/// The folder that the transcript's `hello` names.
const DIRECTORY: &str = "/tmp/commonweal-x";

/// The bytes of the documented frames: Commonweal's, then the worker's.
fn documented() -> (Vec<u8>, Vec<u8>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/worker-protocol.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once("```transcript\n").unwrap();
    let (transcript, _) = rest.split_once("```").unwrap();
    let (mut requests, mut replies, mut from_worker) = (Vec::new(), Vec::new(), false);
    for line in transcript.lines() {
        match line.split_at_checked(2) {
            Some(("> ", _)) => from_worker = false,
            Some(("< ", _)) => from_worker = true,
            _ => {
                let hex = line
                    .split('|')
                    .next()
                    .unwrap_or_default()
                    .split_whitespace();
                let bytes = hex.map(|digits| u8::from_str_radix(digits, 16).unwrap());
                if from_worker {
                    replies.extend(bytes)
                } else {
                    requests.extend(bytes)
                }
            }
        }
    }
    (requests, replies)
}

/// `hello` with the documented folder instead of the actual one.
fn normalised(mut told: Vec<Frame>, directory: &Path) -> Vec<Frame> {
    let header = String::from_utf8(told[0].header.clone()).unwrap();
    told[0].header = header
        .replace(directory.to_str().unwrap(), DIRECTORY)
        .into_bytes();
    told
}

#[test]
fn the_documented_transcript_is_what_is_said_byte_for_byte() {
    let (requests, replies) = documented();
    let mut worker = Scripted::answering(&[replies]);
    let global = shared(&[1.0, 2.0]);
    let (update, state) = worker
        .train("ward-7", &global, ClientState::default())
        .unwrap();
    assert_eq!(update.values, [0.5, -0.5]);
    assert!(!state.bytes.is_empty());
    let spec = of_classes(&[MetricKind::Loss, MetricKind::Accuracy], 2);
    let sums = worker
        .evaluate("ward-7", &global, spec.clone(), &state)
        .unwrap();
    let found: Vec<_> = spec.values(&sums).map(|(_, value)| value).collect();
    assert_eq!(found, [Some(0.75), Some(0.5)]);
    let directory = worker.exchange_file("");
    let told = normalised(worker.told(), directory.components().as_path());
    let told: Vec<u8> = told.iter().flat_map(Frame::to_bytes).collect();
    assert_eq!(
        told.escape_ascii().to_string(),
        requests.escape_ascii().to_string()
    );
}
