//! The README's doors: the first command of a stranger, and the first study of their own.

use crate::program::{Place, names};

#[test]
fn the_first_command_trains_on_embedded_data_and_says_what_to_try_next() {
    let place = Place::new();
    let ended = place.run(&["simulate"]).well();
    assert!(
        ended.stdout.contains("model.safetensors"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("commonweal new"), "{}", ended.stdout);
    let run = names(&place.path("runs")).pop().unwrap();
    for file in [
        "job.toml",
        "manifest.json",
        "manifest.digest",
        "history.csv",
        "clients.csv",
        "partition.csv",
        "summary.json",
        "model.safetensors",
    ] {
        assert!(
            place.path(&format!("runs/{run}/{file}")).is_file(),
            "{file}"
        );
    }
}

#[test]
fn the_default_job_is_above_95_per_cent_over_five_seeds() {
    let place = Place::new();
    let ended = place.run(&["simulate", "--seeds", "5", "--json"]).well();
    let last = ended.last();
    assert_eq!(last["event"], "finished");
    assert!(last["accuracy"].as_f64().unwrap() > 0.95, "{last}");
}

#[test]
fn the_last_event_has_exactly_the_documented_fields() {
    let place = Place::with_job();
    let ended = place.run(&["simulate", "job.toml", "--json"]).well();
    let line = ended.stdout.lines().last().unwrap();
    assert!(
        line.starts_with(r#"{"v":1,"event":"finished","rounds":6,"metric":{"name":"#),
        "{line}"
    );
    let last = ended.last();
    let mut fields: Vec<&str> = last
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    let documented = [
        "accuracy", "digest", "event", "loss", "metric", "model", "rounds", "seconds", "v",
    ];
    assert_eq!(fields, documented);
    assert!(place.path(last["model"].as_str().unwrap()).is_file());
    assert!(last["digest"].as_str().unwrap().starts_with("sha256:"));
}

#[test]
fn a_second_run_gets_a_folder_of_its_own_and_the_same_bytes() {
    let place = Place::with_job();
    let first = place.run(&["simulate", "job.toml", "--json"]).well().last();
    let second = place.run(&["simulate", "job.toml", "--json"]).well().last();
    assert_eq!(first["digest"], second["digest"]);
    assert_ne!(first["model"], second["model"]);
    let listed = place.run(&["runs", "--json"]).well().events();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["digest"], first["digest"]);
}

#[test]
fn without_a_terminal_progress_is_plain_lines_on_stderr_and_quiet_drops_them() {
    let place = Place::with_job();
    let ended = place.run(&["simulate", "job.toml"]).well();
    let round = ended
        .stderr
        .lines()
        .find(|line| line.starts_with("round 2/6"))
        .unwrap();
    for part in ["loss", "accuracy", "clients/s", "s left"] {
        assert!(round.contains(part), "{round}");
    }
    assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
    let quiet = place.run(&["simulate", "job.toml", "--quiet"]).well();
    assert_eq!(quiet.stderr, "");
}
