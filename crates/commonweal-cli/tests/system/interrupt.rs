//! Ctrl-C, a reader that goes away, and what they leave.

use std::io::Read;
use std::process::Stdio;

use crate::program::{JOB, Place};

fn long() -> Place {
    Place::holding("job.toml", &JOB.replace("rounds = 6", "rounds = 300"))
}

#[test]
fn ctrl_c_finishes_the_round_checkpoints_says_how_to_resume_and_exits_130() {
    let place = long();
    let mut running = place.start(&["simulate", "job.toml"]);
    running.until("round", |event| event["round"] == 3);
    running.signal("INT");
    let (events, code) = running.end();
    assert_eq!(code, 130);
    let last = events.last().unwrap();
    assert_eq!(last["event"], "interrupted");
    let round = last["round"].as_u64().unwrap();
    assert!((3..300).contains(&round), "{last}");
    let resumed = place.run(&["resume", "runs/small-1", "--json"]).well();
    let started = &resumed.events()[0];
    assert_eq!(started["resumed_after"].as_u64(), Some(round), "{started}");
    assert_eq!(resumed.last()["rounds"], 300);
}

#[test]
fn an_interrupted_run_says_the_command_that_goes_on() {
    let place = long();
    let mut child = place
        .command(&["simulate", "job.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut said = String::new();
    let mut byte = [0];
    while !said.contains("round 2/300") {
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{said}");
        said.push(char::from(byte[0]));
    }
    let id = child.id().to_string();
    std::process::Command::new("kill")
        .args(["-s", "INT", &id])
        .status()
        .unwrap();
    let mut rest = Vec::new();
    stderr.read_to_end(&mut rest).unwrap();
    let rest = String::from_utf8_lossy(&rest);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.contains("commonweal resume runs/small-1"), "{rest}");
}

#[test]
fn a_reader_that_goes_away_is_no_panic_and_the_run_can_be_resumed() {
    let place = long();
    let mut running = place
        .command(&["simulate", "job.toml", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(running.stdout.take());
    let mut said = String::new();
    running
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(130));
    assert!(!said.contains("panicked"), "{said}");
    place.run(&["resume", "runs/small-1", "--json"]).well();
}

#[test]
fn a_closed_pipe_ends_a_listing_quietly() {
    let place = Place::new();
    let mut child = place
        .command(&["job", "explain"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(said, "");
}
