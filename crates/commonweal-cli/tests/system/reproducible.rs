//! The same job gives the same bytes: whatever the threads, and after any interruption.

use crate::program::{JOB, Place};

#[test]
fn one_two_and_eight_threads_give_the_same_model() {
    let place = Place::with_job();
    let digest = |threads: &str| {
        let ended = place
            .run(&["simulate", "job.toml", "--json", "--threads", threads])
            .well();
        ended.last()["digest"].clone()
    };
    let one = digest("1");
    assert_eq!(one, digest("2"));
    assert_eq!(one, digest("8"));
}

#[test]
fn another_seed_gives_another_model() {
    let place = Place::with_job();
    let digest = |seed: &str| {
        let ended = place
            .run(&["simulate", "job.toml", "--json", "--seed", seed])
            .well();
        ended.last()["digest"].clone()
    };
    assert_ne!(digest("1"), digest("2"));
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes() {
    let place = Place::holding("job.toml", &JOB.replace("rounds = 6", "rounds = 40"));
    let whole = place.run(&["simulate", "job.toml", "--json"]).well().last();
    let mut killed = place.start(&["simulate", "job.toml", "--runs-dir", "killed"]);
    killed.until("round", |event| event["round"] == 5);
    killed.signal("KILL");
    let (_, code) = killed.end();
    assert_eq!(code, -1);
    let resumed = place.run(&["resume", "killed/small-1", "--json"]).well();
    assert_eq!(resumed.last()["digest"], whole["digest"]);
    let history = |run: &str| -> Vec<String> {
        let text = place.read(&format!("{run}/history.csv"));
        let reader = text
            .lines()
            .map(|line| line.split(',').take(9).collect::<Vec<_>>().join(","));
        reader.collect()
    };
    assert_eq!(history("killed/small-1"), history("runs/small-1"));
}

#[test]
fn a_killed_run_of_several_seeds_resumes_to_the_same_means() {
    let place = Place::holding(
        "job.toml",
        &JOB.replace("clients = 10", "clients = 10\nseeds = 3"),
    );
    let whole = place.run(&["simulate", "job.toml", "--json"]).well().last();
    let mut killed = place.start(&["simulate", "job.toml", "--runs-dir", "killed"]);
    killed.until("seed", |event| event["index"] == 2);
    killed.until("round", |event| event["round"] == 2);
    killed.signal("KILL");
    killed.end();
    let resumed = place
        .run(&["resume", "killed/small-1", "--json"])
        .well()
        .last();
    assert_eq!(resumed["accuracy"], whole["accuracy"]);
    assert_eq!(resumed["digest"], whole["digest"]);
}
