//! Any bytes read as each body that a server reads from a node, and as the parts of a path: a value or a refusal.

#![no_main]

use commonweal_wire::path::read_task;
use commonweal_wire::proto::{JoinRequest, PollRequest, TaskFailure, Verdict, Working};
use commonweal_wire::{PublicKey, read, to_task_id};
use prost::Message;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(join) = message::<JoinRequest>(bytes) {
        if let Ok(key) = PublicKey::try_from(&join.public_key[..]) {
            assert_eq!(&key.to_bytes()[..], join.public_key);
        }
    }
    if let Some(poll) = message::<PollRequest>(bytes) {
        if let Some(Working { task, .. }) = poll.working {
            let _ = to_task_id(task.as_ref());
        }
    }
    message::<Verdict>(bytes);
    if let Some(failure) = message::<TaskFailure>(bytes) {
        let _ = failure.code();
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(task) = read_task(text)
    {
        assert_eq!(task.to_string(), text);
    }
});

/// A message that is read is read again from what it is written as.
fn message<M: Message + Default + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<M> {
    let message: M = read(bytes).ok()?;
    let again: M = read(&message.encode_to_vec()).expect("a message that was written");
    assert_eq!(again, message);
    Some(message)
}
