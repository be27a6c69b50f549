//! A server and three nodes as the README has them: in a handful of commands.

use crate::federation::{DIGITS, Federation, HEART, text};
use crate::program::names;

#[test]
fn a_server_and_three_nodes_train_together_and_leave_a_model() {
    let mut federation = Federation::new();
    federation.place.write("job.toml", HEART);
    for name in ["Cleveland", "Hungary", "Switzerland"] {
        federation.join_with(name, "all", "heart");
        federation.start(name);
    }
    let place = &federation.place;
    let arguments = [
        "submit",
        "job.toml",
        "--json",
        "--set",
        "deployment.clients=3",
    ];
    let events = place.run(&arguments).well().events();
    assert_eq!(events[0]["event"], "submitted");
    assert_eq!(events[0]["run"]["id"], "hearts-1");
    let last = events.last().unwrap();
    assert_eq!(last["event"], "finished", "{last}");
    assert_eq!(last["rounds"], 4);

    let listed = place.run(&["runs", "--json"]).well().last();
    assert_eq!(listed["run"], "hearts-1");
    assert_eq!(listed["place"], federation.url.as_str());
    assert_eq!(listed["state"], "finished");
    assert_eq!(listed["digest"], last["digest"]);

    place.run(&["download", "hearts-1"]).well();
    let files = names(&place.path("runs/hearts-1"));
    assert!(files.iter().any(|name| name == "report.html"), "{files:?}");
    place
        .run(&["export", "hearts-1", "--format", "torch"])
        .well();

    let elsewhere = place.run(&["evaluate", "hearts-1"]);
    assert_eq!(elsewhere.code, 2, "{}", elsewhere.stdout);
    assert!(
        elsewhere.stderr.contains("at its nodes"),
        "{}",
        elsewhere.stderr
    );

    let watched = place.run(&["watch", "hearts-1", "--json"]).well().events();
    assert_eq!(watched.last().unwrap()["digest"], last["digest"]);
    let logs = place.run(&["logs", "hearts-1", "--json"]).well().events();
    assert!(!logs.is_empty());
    let record = federation.node("Hungary", &["record", "--verify", "--json"]);
    assert_eq!(record.well().last()["is_verified"], true);
}

#[test]
fn submit_ends_with_the_lines_of_simulate_and_says_how_to_get_the_model() {
    let federation = Federation::new().with_four_nodes();
    let ended = federation
        .place
        .run(&["submit", "job.toml", "--set", "deployment.clients=4"]);
    let ended = ended.well();
    for part in [
        "accuracy  ",
        "rounds  ",
        "digest  ",
        "commonweal download small-1",
    ] {
        assert!(ended.stdout.contains(part), "{}", ended.stdout);
    }
    assert!(ended.stderr.contains("round 2/4"), "{}", ended.stderr);
}

#[test]
fn a_watcher_who_leaves_does_not_end_the_run_and_a_cancelled_one_goes_on_with_resume() {
    let federation = Federation::new().with_four_nodes();
    let place = &federation.place;
    place.write("job.toml", &DIGITS.replace("rounds = 4", "rounds = 100000"));
    let arguments = ["submit", "job.toml", "--set", "deployment.clients=4"];
    let mut submitted = place.start(&arguments);
    submitted.until("round", |event| event["round"] == 2);
    submitted.signal("INT");
    let (events, code) = submitted.end();
    assert_eq!(code, 130);
    assert_eq!(events.last().unwrap()["event"], "left");

    let mut watched = place.start(&["watch", "small-1"]);
    watched.until("round", |event| event["round"] == 5);
    let cancelled = place.run(&["cancel", "small-1", "--json"]).well().last();
    assert_eq!(cancelled["state"], "cancelled");
    let (events, code) = watched.end();
    assert_eq!(code, 3);
    let message = text(&events.last().unwrap()["message"]);
    assert!(message.starts_with("small-1 was cancelled"), "{message}");

    let resumed = place
        .run(&["resume", "small-1", "--detach", "--json"])
        .well()
        .last();
    assert_eq!(resumed["event"], "resumed");
    let mut watched = place.start(&["watch", "small-1"]);
    let round = cancelled["round"].as_u64().unwrap();
    watched.until("round", |event| event["round"].as_u64() > Some(round));
    watched.signal("INT");
    watched.end();
}

#[test]
fn a_backup_taken_while_the_server_works_is_a_server_elsewhere_with_the_same_nodes_and_runs() {
    let mut federation = Federation::new().with_four_nodes();
    let arguments = [
        "submit",
        "job.toml",
        "--json",
        "--set",
        "deployment.clients=4",
    ];
    let finished = federation.place.run(&arguments).well().last();
    federation.server(&["backup", "all.tar"]).well();
    let again = federation.server(&["backup", "all.tar"]);
    assert_eq!(again.code, 2, "{}", again.stderr);
    federation.kill_server();
    std::fs::rename(
        federation.place.path("server"),
        federation.place.path("lost"),
    )
    .unwrap();
    federation.server(&["restore", "all.tar"]).well();
    federation.serve();
    let run = federation.place.run(&["runs", "--json"]).well().last();
    assert_eq!(run["digest"], finished["digest"]);
    // The nodes come back by themselves, with the keys that they had.
    federation.place.run(&arguments).well();
    let status = federation.server(&["status", "--json"]).well().last();
    assert_eq!(status["is_listening"], true);
    assert_eq!(status["nodes_enrolled"], 4);
    assert_eq!(status["authority"], federation.authority.as_str());
}
