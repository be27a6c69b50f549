//! The house's rules that a compiler does not see: which crate may know which, and what is absent below the line.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Every arrow that a crate may draw to another of the workspace. A crate that is missing here fails the test.
const EDGES: &[(&str, &[&str])] = &[
    ("commonweal-kernels", &[]),
    ("commonweal-privacy", &["commonweal-kernels"]),
    (
        "commonweal-core",
        &["commonweal-kernels", "commonweal-privacy"],
    ),
    ("commonweal-data", &["commonweal-core"]),
    (
        "commonweal-train",
        &[
            "commonweal-core",
            "commonweal-data",
            "commonweal-privacy",
            "commonweal-kernels",
        ],
    ),
    ("commonweal-worker", &["commonweal-core", "commonweal-data"]),
    (
        "commonweal-sim",
        &[
            "commonweal-core",
            "commonweal-data",
            "commonweal-disk",
            "commonweal-train",
            "commonweal-worker",
            "commonweal-privacy",
        ],
    ),
    ("commonweal-disk", &["commonweal-core", "commonweal-data"]),
    ("commonweal-wire", &["commonweal-core"]),
    (
        "commonweal-server",
        &[
            "commonweal-core",
            "commonweal-data",
            "commonweal-disk",
            "commonweal-train",
            "commonweal-wire",
            "commonweal-privacy",
        ],
    ),
    (
        "commonweal-client",
        &[
            "commonweal-core",
            "commonweal-data",
            "commonweal-disk",
            "commonweal-train",
            "commonweal-wire",
            "commonweal-worker",
            "commonweal-privacy",
        ],
    ),
    ("commonweal-cli", &["*"]),
];

/// Crates below the line: no I/O, no clock, no async, no ambient randomness, no logging.
const BELOW_THE_LINE: &[&str] = &[
    "commonweal-kernels",
    "commonweal-privacy",
    "commonweal-core",
    "commonweal-data",
    "commonweal-train",
];

/// Packages that bring a runtime, a socket, a database or ambient randomness.
const ABSENT_BELOW: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "hyper",
    "axum",
    "reqwest",
    "sqlx",
    "rustls",
    "getrandom",
    "tracing",
    "log",
    "chrono",
    "time",
];

/// Text that betrays I/O, a clock or a thread in a source file below the line.
const ABSENT_WORDS_BELOW: &[&str] = &[
    "std::fs",
    "std::net",
    "std::time",
    "std::process",
    "std::thread",
    "std::env",
    "Instant::now",
    "SystemTime",
    "println!",
    "eprintln!",
];

#[test]
fn crates_draw_only_the_arrows_of_the_plan() {
    let metadata = metadata();
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    for package in workspace_packages(&metadata) {
        let name = text(&package["name"]);
        let targets = allowed.get(name).unwrap_or_else(|| {
            panic!("{name} has no entry in EDGES: say which crates it may know")
        });
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let target = text(&dependency["name"]);
            let normal = dependency["kind"].is_null();
            if normal && target.starts_with("commonweal-") {
                assert!(
                    targets.contains(&"*") || targets.contains(&target),
                    "{name} must not depend on {target}"
                );
            }
        }
    }
}

#[test]
fn no_runtime_socket_or_clock_is_reachable_below_the_line() {
    let metadata = metadata();
    let reachable = reachable_packages(&metadata, BELOW_THE_LINE);
    for forbidden in ABSENT_BELOW {
        assert!(
            !reachable.contains(*forbidden),
            "{forbidden} is reachable from below the line"
        );
    }
}

#[test]
fn sources_below_the_line_name_no_file_clock_or_thread() {
    for name in BELOW_THE_LINE {
        for file in sources(&crate_folder(name)) {
            let content = non_test_lines(&file).join("\n");
            for word in ABSENT_WORDS_BELOW {
                assert!(!content.contains(word), "{} names `{word}`", file.display());
            }
        }
    }
}

#[test]
fn core_and_privacy_compile_without_the_standard_library() {
    for name in ["commonweal-core", "commonweal-privacy"] {
        let root = std::fs::read_to_string(crate_folder(name).join("lib.rs")).unwrap();
        assert!(
            root.contains("#![no_std]"),
            "{name} has lost its #![no_std]"
        );
    }
}

#[test]
fn unsafe_stands_only_in_the_kernels() {
    for (name, _) in EDGES
        .iter()
        .filter(|(name, _)| *name != "commonweal-kernels")
    {
        for file in sources(&crate_folder(name)) {
            let found = non_test_lines(&file).iter().any(|line| {
                line.contains("unsafe {")
                    || line.contains("unsafe fn")
                    || line.contains("unsafe impl")
            });
            assert!(!found, "{} holds unsafe code", file.display());
        }
    }
}

#[test]
fn no_file_has_outgrown_its_noun() {
    for (name, _) in EDGES {
        for file in sources(&crate_folder(name)) {
            let lines = non_test_lines(&file).len();
            assert!(
                lines <= 600,
                "{}: {lines} lines before its tests; split it by noun",
                file.display()
            );
        }
    }
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--all-features"])
        .args(["--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(workspace_root())
        .output()
        .expect("cargo metadata starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

fn workspace_packages(metadata: &Value) -> Vec<&Value> {
    let members: BTreeSet<&str> = metadata["workspace_members"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|package| members.contains(text(&package["id"])))
        .collect()
}

/// Names of all packages that normal dependencies of `roots` lead to, `roots` included.
fn reachable_packages(metadata: &Value, roots: &[&str]) -> BTreeSet<String> {
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|node| (text(&node["id"]), node))
        .collect();
    let mut open: Vec<&str> = names
        .iter()
        .filter(|(_, name)| roots.contains(name))
        .map(|(id, _)| *id)
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().into_iter().flatten() {
            let normal = dependency["dep_kinds"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|kind| kind["kind"].is_null() && kind["target"].is_null());
            if normal {
                open.push(text(&dependency["pkg"]));
            }
        }
    }
    seen.into_iter().map(|id| names[id].to_owned()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn crate_folder(name: &str) -> PathBuf {
    workspace_root().join("crates").join(name).join("src")
}

/// All Rust files below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// The lines of a file before its test module; none for a file that is a test module.
fn non_test_lines(file: &Path) -> Vec<String> {
    if file
        .file_name()
        .is_some_and(|name| name.to_string_lossy().ends_with("tests.rs"))
        || file.components().any(|part| part.as_os_str() == "tests")
    {
        return Vec::new();
    }
    std::fs::read_to_string(file)
        .unwrap()
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .map(str::to_owned)
        .collect()
}
