//! Any request line and headers read as a signed request: never somebody's who did not sign it as it stands.

#![no_main]

use std::sync::LazyLock;

use commonweal_wire::{NodeKey, Request, Signed, header};

static KEY: LazyLock<NodeKey> = LazyLock::new(|| NodeKey::from_secret(&[9; 32]));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut lines = text.lines();
    let Some((method, target)) = lines.next().and_then(|line| line.split_once(' ')) else {
        return;
    };
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
    let value = |name: &'static str| {
        let found = headers.iter().find(|(key, _)| *key == name);
        found.map(|&(_, value)| value)
    };
    let Ok(signed) = Signed::read(value) else {
        return;
    };
    let request = Request {
        method,
        target,
        time_ms: signed.time_ms,
        nonce: signed.nonce,
        digest: signed.digest,
    };
    let honest = request.sign(&KEY);
    let is_honest = honest.iter().all(|(name, text)| {
        // One time has several texts, as 007; what is signed is the number.
        *name == header::TIME || value(name) == Some(text.as_str())
    });
    assert_eq!(signed.is_by(&KEY.public(), method, target), is_honest);
    let read = Signed::read(|name| {
        let found = honest.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_str())
    });
    let read = read.expect("headers that were signed");
    assert!(read.is_by(&KEY.public(), method, target));
    assert!(!read.is_by(&KEY.public(), target, method) || method == target);
});
