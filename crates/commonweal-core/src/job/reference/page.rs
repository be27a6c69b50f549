//! The reference page, `docs/job-reference.md`.

use alloc::string::String;
use core::fmt::Write as _;

use super::explain::default;
use super::{ALTERNATIVES, Key, UNBUILT, Words, reference};

const HEAD: &str = "\
# Job reference

<!-- Written by `cargo run --example job_reference`; a test keeps it equal to the table in
     crates/commonweal-core/src/job/reference/. -->

A job is one TOML file. Unknown and misspelt keys are errors that name line, column and the nearest
key; values out of range are errors that say what is allowed. `commonweal job explain [KEY]` prints
what stands here, and `--set key=value` overrides a key (`--set training.epochs=2`,
`--set 'model.hidden=[64, 64]'`, `--set model.layers.0.units=32`; a bare word is a text).

A table with a `kind` may be written as a word where nothing else is set: `optimizer = \"sgd\"` is
`optimizer = { kind = \"sgd\" }`. A number may be written as an integer. `*` stands for a name that
the job chooses.

The **manifest** is the job with all defaults filled in and without `[simulation]`; its SHA-256
digest is what a run is bound to and what a node approves. Comments, the order of keys and
`[simulation]` do not change it.
";

/// The page, in Markdown.
pub fn page() -> String {
    let mut text = String::from(HEAD);
    let mut section = None;
    for key in reference() {
        let own = section_of(key);
        if section != Some(own) {
            section = Some(own);
            heading(own, &mut text);
        }
        row(key, &mut text);
    }
    // A `String` takes all that is written.
    _ = write!(text, "\n## Keys that exclude each other\n\n");
    for group in ALTERNATIVES {
        let need = if group.required {
            "exactly one"
        } else {
            "at most one"
        };
        _ = writeln!(
            text,
            "- `[{}]`: {need} of {}",
            group.table,
            Words(group.keys)
        );
    }
    _ = write!(
        text,
        "\n## Not built yet\n\nThese sections are refused:\n\n"
    );
    for unbuilt in UNBUILT {
        _ = writeln!(text, "- `[{}]`: {}", unbuilt.section, unbuilt.missing);
    }
    text
}

fn section_of(key: &Key) -> &'static str {
    key.path.split_once('.').map_or("", |(section, _)| section)
}

fn heading(section: &str, to: &mut String) {
    match section {
        "" => to.push_str("\n## At the top\n\n"),
        section => _ = write!(to, "\n## `[{section}]`\n\n"),
    }
    to.push_str("| key | value | unit | if absent | meaning |\n|---|---|---|---|---|\n");
}

fn row(key: &Key, to: &mut String) {
    let section = section_of(key);
    let name = key
        .path
        .strip_prefix(section)
        .unwrap_or(key.path)
        .trim_start_matches('.');
    _ = write!(to, "| `{name}`");
    if !key.kinds.is_empty() {
        _ = write!(to, " with {}", Words(key.kinds));
    }
    let absent = default(key);
    let absent = absent.strip_prefix("if absent: ").unwrap_or(&absent);
    let unit = if key.unit.is_empty() { "–" } else { key.unit };
    _ = writeln!(
        to,
        " | {} | {unit} | {absent} | {} |",
        key.kind, key.meaning
    );
}
