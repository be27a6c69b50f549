//! A node's settings, spoiled in any way, are read or refused with the file's name; nothing panics.

use std::path::Path;

use commonweal_client::Settings;
use proptest::prelude::*;

const WHOLE: &str = r#"accept = "ask"
smallest_cohort = 3
threads = 2
memory_mb = 2000
hours = "18:00-06:00"
labels = { site = "eu" }
[data.heart]
path = "patients.csv"
columns = { "Alter" = "age" }
[data.digits]
share = { job = "job.toml", client = "client-003" }
[trainers.torch]
command = ["python3", "train.py"]
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
        "{",
        "}",
        "#",
        "é",
        "\0",
        "-1",
        "1e400",
        "true",
        "[]",
        "\"ask\"",
        ".",
        "'''",
        "99999999999999999999",
        "1979-05-27",
        "\"25:99-00:00\"",
        "[[data]]",
    ];
    prop_oneof![
        prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        ".{0,6}"
    ]
}

proptest! {
    #[test]
    fn spoiled_settings_are_read_or_refused_by_name(
        patches in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..30, patch()), 1..5),
    ) {
        let mut text: Vec<char> = WHOLE.chars().collect();
        for (at, len, patch) in patches {
            let at = at.index(text.len() + 1);
            let end = (at + len).min(text.len());
            text.splice(at..end, patch.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = Settings::parse(&text, Path::new("node.toml")) {
            prop_assert!(error.to_string().starts_with("node.toml:"), "{error}");
        }
    }
}
