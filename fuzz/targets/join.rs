//! Any text read as a join string, a key and a fingerprint: each that is read is read again from its own text.

#![no_main]

use commonweal_wire::{JoinString, KeyId, NodeKey, PublicKey};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = PublicKey::try_from(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(join) = text.parse::<JoinString>() {
        assert_eq!(join.to_string().parse().as_ref(), Ok(&join));
    }
    if let Ok(key) = NodeKey::from_text(text) {
        let again = NodeKey::from_text(&key.to_text()).expect("a key that was written");
        assert_eq!(again.public(), key.public());
    }
    if let Ok(id) = text.parse::<KeyId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(id) = KeyId::from_header(text) {
        assert_eq!(id.to_header(), text);
    }
});
