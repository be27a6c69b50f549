//! Canonical text of a job: JSON for its manifest, TOML for its run folder.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use serde_json::{Map, Value as Json};

use super::Job;

/// The job as a tree, without what is absent.
pub(super) fn value(job: &Job) -> Json {
    // Unwrap safety: the sections have text keys and finite numbers; a test encodes every kind.
    #[allow(clippy::expect_used)]
    let json = serde_json::to_value(job).expect("a job is a tree of texts and numbers");
    without_nulls(json)
}

fn without_nulls(json: Json) -> Json {
    match json {
        Json::Object(entries) => Json::Object(
            entries
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        Json::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// JSON without spaces, keys in byte order, whatever order the map keeps.
pub(super) fn encode(json: &Json) -> String {
    let mut text = String::new();
    write_json(json, &mut text);
    text
}

fn write_json(json: &Json, to: &mut String) {
    match json {
        Json::Object(entries) => {
            to.push('{');
            for (index, (key, value)) in sorted(entries).into_iter().enumerate() {
                to.push_str(if index == 0 { "" } else { "," });
                write_json(&Json::from(key), to);
                to.push(':');
                write_json(value, to);
            }
            to.push('}');
        }
        Json::Array(items) => {
            to.push('[');
            for (index, item) in items.iter().enumerate() {
                to.push_str(if index == 0 { "" } else { "," });
                write_json(item, to);
            }
            to.push(']');
        }
        // A `String` takes all that is written.
        scalar => _ = write!(to, "{scalar}"),
    }
}

fn sorted(entries: &Map<String, Json>) -> Vec<(&str, &Json)> {
    let mut entries: Vec<(&str, &Json)> = entries
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

/// TOML with the plain values first and a header for each section; tables within are inline.
pub(super) fn to_toml(json: &Json) -> String {
    const SECTIONS: [&str; 11] = [
        "data",
        "simulation",
        "model",
        "training",
        "cohort",
        "strategy",
        "evaluation",
        "stop",
        "expect",
        "checkpoints",
        "deployment",
    ];
    let mut text = String::new();
    for name in ["name", "rounds", "seed"] {
        if let Some(value) = json.get(name) {
            write_entry(name, value, &mut text);
        }
    }
    for section in SECTIONS {
        let Some(Json::Object(entries)) = json.get(section) else {
            continue;
        };
        _ = write!(text, "\n[{section}]\n");
        for (key, value) in sorted(entries) {
            write_entry(key, value, &mut text);
        }
    }
    text
}

fn write_entry(key: &str, value: &Json, to: &mut String) {
    write_key(key, to);
    to.push_str(" = ");
    write_toml(value, to);
    to.push('\n');
}

fn write_key(key: &str, to: &mut String) {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        to.push_str(key)
    } else {
        write_text(key, to)
    }
}

fn write_toml(json: &Json, to: &mut String) {
    match json {
        Json::Object(entries) if entries.is_empty() => to.push_str("{}"),
        Json::Object(entries) => {
            for (index, (key, value)) in sorted(entries).into_iter().enumerate() {
                to.push_str(if index == 0 { "{ " } else { ", " });
                write_key(key, to);
                to.push_str(" = ");
                write_toml(value, to);
            }
            to.push_str(" }");
        }
        Json::Array(items) => {
            to.push('[');
            for (index, item) in items.iter().enumerate() {
                to.push_str(if index == 0 { "" } else { ", " });
                write_toml(item, to);
            }
            to.push(']');
        }
        Json::String(text) => write_text(text, to),
        scalar => _ = write!(to, "{scalar}"),
    }
}

/// A basic string of TOML: JSON's escapes, and DEL, which TOML does not take as it is.
fn write_text(text: &str, to: &mut String) {
    let mut quoted = String::new();
    write_json(&Json::from(text), &mut quoted);
    to.push_str(&quoted.replace('\u{7f}', "\\u007f"));
}
