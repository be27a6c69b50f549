//! A server's configuration, spoiled in any way, is read or refused in words; nothing panics.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use commonweal_server::config::{CONFIG, ServerConfig};
use proptest::prelude::*;

const WHOLE: &str = r#"listen = "0.0.0.0:7070"
public_url = "https://fl.example.org"
approve_nodes = true
staging_mb = 256
joins_per_minute = 10
log_format = "json"
[retention]
last = 2
best = true
every = 10
"#;

/// What replaces a piece of the text.
fn patch() -> impl Strategy<Value = String> {
    let words = [
        "",
        "\"",
        "\n",
        "=",
        "[",
        "]",
        "#",
        "é",
        "\0",
        "-1",
        "1e400",
        "[]",
        "0x10",
        "{ a = 1 }",
        ".",
        "'''",
        "99999999999999999999",
        "1979-05-27",
        "\":0\"",
        "[[retention]]",
    ];
    prop_oneof![
        prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        ".{0,6}"
    ]
}

proptest! {
    #[test]
    fn a_spoiled_configuration_is_read_or_refused_in_words(
        patches in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..30, patch()), 1..5),
    ) {
        let mut text: Vec<char> = WHOLE.chars().collect();
        for (at, len, patch) in patches {
            let at = at.index(text.len() + 1);
            let end = (at + len).min(text.len());
            text.splice(at..end, patch.chars());
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CONFIG), text.into_iter().collect::<String>()).unwrap();
        let flags = [("data_dir", folder.path().display().to_string())];
        if let Err(error) = ServerConfig::load(&flags, []) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
