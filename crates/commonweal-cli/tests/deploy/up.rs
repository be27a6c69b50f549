//! `up` is `simulate` with processes and sockets.

use serde_json::Value;

use crate::federation::{DIGITS, HEART, simulated, text};
use crate::program::{Ended, Place, is_alive, names, signal, until};

/// Both ends of the claim, and the events that lead there.
fn same_model(job: &str, overrides: &[&str]) {
    let place = Place::holding("job.toml", job);
    let expected = simulated(&place, overrides);
    let up = place
        .run(&[&["up", "job.toml", "--json"], overrides].concat())
        .well();
    let last = up.last();
    assert_eq!(last["event"], "finished");
    assert_eq!(text(&last["digest"]), expected, "{}", up.stdout);
}

#[test]
fn digits_end_in_the_same_model_with_sockets_and_without() {
    same_model(DIGITS, &[]);
}

#[test]
fn hearts_end_in_the_same_model_with_sockets_and_without() {
    same_model(HEART, &[]);
}

#[test]
fn a_cohort_that_is_drawn_is_drawn_alike_with_sockets_and_without() {
    same_model(
        DIGITS,
        &[
            "--set",
            "cohort.fraction=0.5",
            "--set",
            "simulation.clients=6",
        ],
    );
}

#[test]
fn up_says_what_simulate_says_and_leaves_a_run_folder_that_other_commands_read() {
    let place = Place::holding("job.toml", DIGITS);
    let simulated = place.run(&["simulate", "job.toml", "--json"]).well();
    let up = place.run(&["up", "job.toml", "--json"]).well();
    let words = |stdout: &Ended| -> Vec<String> {
        let events = stdout.events().into_iter();
        let events = events.filter(|event| event["event"] != "checkpoint");
        events.map(|event| text(&event["event"])).collect()
    };
    assert_eq!(words(&up), words(&simulated));
    let last = up.last();
    assert!(place.path(last["model"].as_str().unwrap()).is_file());
    let files = names(&place.path("runs/small-2"));
    for file in [
        "job.toml",
        "manifest.json",
        "history.csv",
        "summary.json",
        "report.html",
    ] {
        assert!(files.iter().any(|name| name == file), "{file}: {files:?}");
    }
    let evaluated = place
        .run(&["evaluate", "runs/small-2", "--json"])
        .well()
        .last();
    let before = place
        .run(&["evaluate", "runs/small-1", "--json"])
        .well()
        .last();
    assert_eq!(evaluated["metrics"], before["metrics"]);
    for command in [
        &["report", "small-2"][..],
        &["plot", "small-1", "small-2"],
        &["export", "small-2", "--format", "torch"],
    ] {
        place.run(command).well();
    }
}

#[test]
fn every_seed_and_baseline_of_a_job_ends_alike_with_sockets_and_without() {
    let place = Place::holding("job.toml", HEART);
    let overrides = [
        "--json",
        "--seeds",
        "2",
        "--set",
        "simulation.baselines=[\"pooled\"]",
    ];
    let ended = |command| place.run(&[&[command, "job.toml"], &overrides[..]].concat());
    let (simulated, up) = (ended("simulate").well(), ended("up").well());
    assert_eq!(shape(&up), shape(&simulated));
    let keys = |event: &Value| -> Vec<String> {
        let object = event.as_object().unwrap();
        object.keys().cloned().collect()
    };
    assert_eq!(keys(&up.last()), keys(&simulated.last()));
    let record = |run: &str, file: &str| -> Value {
        serde_json::from_str(&place.read(&format!("runs/{run}/{file}"))).unwrap()
    };
    let same = |file: &str, pointers: &[&str]| {
        let (expected, found) = (record("hearts-1", file), record("hearts-2", file));
        for pointer in pointers {
            let value = expected.pointer(pointer);
            assert!(value.is_some_and(|value| !value.is_null()), "{pointer}");
            assert_eq!(found.pointer(pointer), value, "{file} {pointer}");
        }
    };
    let whole = [
        "/digest",
        "/federated",
        "/baselines/0/name",
        "/baselines/0/metrics",
        "/clients",
        "/train_rows",
        "/test_rows",
        "/seeds/0/digest",
        "/seeds/1/digest",
        "/seeds/1/folder",
        "/seeds/1/seed",
    ];
    same("summary.json", &whole);
    same("seed-4/seed.json", &["/digest", "/metrics", "/rounds"]);
    for file in ["clients.csv", "partition.csv", "seed-4/clients.csv"] {
        let read = |run| place.read(&format!("runs/{run}/{file}"));
        assert_eq!(read("hearts-2"), read("hearts-1"), "{file}");
    }
    let files = |folder: &str| -> Vec<String> {
        let files = names(&place.path(folder)).into_iter();
        files.filter(|name| name != "checkpoints").collect()
    };
    for folder in ["", "seed-4"] {
        let path = |run| format!("runs/{run}/{folder}");
        assert_eq!(files(&path("hearts-2")), files(&path("hearts-1")));
    }
}

/// The events of a run, without those that only a simulation has or that depend on the clock.
fn shape(ended: &Ended) -> Vec<(String, Value, Value)> {
    let events = ended.events().into_iter();
    let events = events.filter(|event| {
        let name = text(&event["event"]);
        !["checkpoint", "baseline_progress"].contains(&name.as_str())
    });
    events
        .map(|event| {
            let detail = match text(&event["event"]).as_str() {
                "started" => event["train_rows"].clone(),
                "seed" => event["index"].clone(),
                "finished" => event["digest"].clone(),
                "baseline" | "evaluated" => event["metrics"].clone(),
                _ => Value::Null,
            };
            (text(&event["event"]), event["round"].clone(), detail)
        })
        .collect()
}

#[test]
fn an_up_that_was_interrupted_in_its_second_seed_can_be_simulated_to_its_end() {
    let place = Place::holding("job.toml", &HEART.replace("rounds = 4", "rounds = 60"));
    let seeds = ["job.toml", "--seeds", "2"];
    let simulated = place.run(&[&["simulate"], &seeds[..], &["--json"]].concat());
    let simulated = simulated.well().last();
    let mut up = place.start(&[&["up"], &seeds[..]].concat());
    up.until("seed", |event| event["index"] == 2);
    up.signal("INT");
    let (events, code) = up.end();
    assert_eq!(code, 130);
    assert_eq!(events.last().unwrap()["folder"], "runs/hearts-2");
    let resumed = place.run(&["resume", "runs/hearts-2", "--json"]).well();
    let last = resumed.last();
    assert_eq!(last["digest"], simulated["digest"]);
    assert_eq!(last["loss"], simulated["loss"]);
}

#[test]
fn a_node_that_dies_ends_up_with_its_name_and_last_words() {
    let job = DIGITS.replace("rounds = 4", "rounds = 100000");
    let place = Place::holding("job.toml", &job);
    let mut up = place.start(&["up", "job.toml", "--dir", "trial"]);
    up.until("round", |event| event["round"] == 2);
    let victim = children(up.id())
        .into_iter()
        .find(|(_, line)| line.contains("client-002"));
    let (id, _) = victim.unwrap();
    signal(id, "KILL");
    let (events, code) = up.end();
    assert_eq!(code, 1);
    let last = events.last().unwrap();
    assert_eq!(last["event"], "error");
    assert!(
        text(&last["message"]).starts_with("client-002 ended"),
        "{last}"
    );
    assert!(place.path("trial/logs/client-002.log").is_file());
}

#[test]
fn nothing_outlives_an_up_that_is_killed() {
    let job = DIGITS.replace("rounds = 4", "rounds = 100000");
    let place = Place::holding("job.toml", &job);
    let mut up = place.start(&["up", "job.toml", "--dir", "trial"]);
    up.until("round", |event| event["round"] == 1);
    let started = children(up.id());
    assert_eq!(started.len(), 5);
    up.signal("KILL");
    up.end();
    // The pipe is closed with the process: its children need a moment to see it.
    until(|| started.iter().all(|(id, _)| !is_alive(*id)));
}

#[test]
fn ctrl_c_ends_every_process_and_says_so() {
    let job = DIGITS.replace("rounds = 4", "rounds = 100000");
    let place = Place::holding("job.toml", &job);
    let mut up = place.start(&["up", "job.toml", "--dir", "trial"]);
    up.until("round", |event| event["round"] == 1);
    let started = children(up.id());
    up.signal("INT");
    let (events, code) = up.end();
    assert_eq!(code, 130);
    assert_eq!(events.last().unwrap()["event"], "interrupted");
    assert!(started.iter().all(|(id, _)| !is_alive(*id)));
    let again = place.run(&["up", "job.toml", "--dir", "trial"]);
    assert_eq!(again.code, 2, "{}", again.stderr);
    assert!(again.stderr.contains("already exists"), "{}", again.stderr);
}

#[test]
fn more_clients_than_a_machine_has_room_for_are_refused_with_another_way() {
    let place = Place::holding("job.toml", &DIGITS.replace("clients = 4", "clients = 501"));
    let ended = place.run(&["up", "job.toml"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("501 clients"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("commonweal simulate"),
        "{}",
        ended.stderr
    );
}

/// The processes that a process started, with their command lines.
fn children(parent: u32) -> Vec<(u32, String)> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let ids = std::fs::read_to_string(path).unwrap();
    ids.split_whitespace()
        .map(|id| {
            let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap();
            (
                id.parse().unwrap(),
                String::from_utf8_lossy(&line).into_owned(),
            )
        })
        .collect()
}
