//! A server's configuration, spoiled in any way, is read or refused with the file's name; nothing panics.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use commonweal_server::config::{ConfigError, ServerConfig};
use proptest::prelude::*;

const WHOLE: &str = r#"listen = "0.0.0.0:7070"
public_url = "https://fl.example.org"
approve_nodes = true
staging_mb = 256
joins_per_minute = 10
[log]
format = "json"
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

fn parse(text: &str) -> Result<(), ConfigError> {
    ServerConfig::parse(text, Path::new("server.toml")).map(drop)
}

#[test]
fn what_is_spoiled_below_is_read_as_it_is() {
    parse(WHOLE).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
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
        let text: String = text.into_iter().collect();
        match parse(&text) {
            Ok(()) | Err(ConfigError::Half { .. }) => {}
            Err(error) => prop_assert!(error.to_string().starts_with("server.toml:"), "{error}"),
        }
    }
}
