//! The owner of the data says yes or no, and the researcher reads why.

use serde_json::Value;

use crate::federation::{CLIENTS, DIGITS, Federation, text};
use crate::program::until;

/// A federation whose last node asks its owner.
fn with_one_that_asks() -> Federation {
    let mut federation = Federation::new();
    for name in CLIENTS {
        let accept = if name == CLIENTS[3] { "ask" } else { "all" };
        federation.join(name, accept);
        federation.start(name);
    }
    federation
}

fn requests(federation: &Federation) -> Vec<Value> {
    let listed = federation
        .node(CLIENTS[3], &["requests", "--json"])
        .well()
        .last();
    listed["requests"].as_array().unwrap().clone()
}

#[test]
fn a_denial_reaches_the_researcher_with_its_reason_and_the_run_goes_on_without_the_node() {
    let federation = with_one_that_asks();
    let place = &federation.place;
    let arguments = [
        "submit",
        "job.toml",
        "--set",
        "deployment.clients=3",
        "--set",
        "deployment.join_seconds=600",
    ];
    let submitted = place.start(&arguments);
    until(|| !requests(&federation).is_empty());
    let shown = federation.node(CLIENTS[3], &["show", "small-1"]).well();
    assert!(
        shown.stdout.contains("asked by     ada"),
        "{}",
        shown.stdout
    );
    let denied = federation.node(
        CLIENTS[3],
        &["deny", "small-1", "--reason", "not this year"],
    );
    denied.well();
    let (events, code) = submitted.end();
    assert_eq!(code, 0);
    let started = events
        .iter()
        .find(|event| event["event"] == "started")
        .unwrap();
    assert_eq!(started["clients"], 3);
    let logs = place.run(&["logs", "small-1"]).well();
    assert!(logs.stdout.contains("not this year"), "{}", logs.stdout);
}

#[test]
fn a_run_that_waits_for_an_owner_says_for_whom() {
    let federation = with_one_that_asks();
    let place = &federation.place;
    place
        .run(&[
            "submit",
            "job.toml",
            "--detach",
            "--set",
            "deployment.clients=4",
        ])
        .well();
    until(|| !requests(&federation).is_empty());
    let explained = place.run(&["explain", "small-1", "--json"]).well().last();
    assert_eq!(explained["of"], 4);
    let waiting = explained["nodes"].as_array().unwrap();
    let waiting: Vec<String> = waiting.iter().map(|node| text(&node["node"])).collect();
    assert!(waiting.contains(&CLIENTS[3].to_owned()), "{explained}");
    federation.node(CLIENTS[3], &["approve", "small-1"]).well();
    place.run(&["watch", "small-1"]).well();
}

#[test]
fn a_dry_run_shows_what_would_leave_before_anybody_agrees() {
    let federation = with_one_that_asks();
    federation.place.write("job.toml", DIGITS);
    let dry = federation.node(
        CLIENTS[3],
        &["dry-run", "job.toml", "--report", "out.html", "--json"],
    );
    assert_eq!(dry.well().last()["event"], "dry_run");
    assert!(federation.place.read("out.html").contains("<html"));
}
