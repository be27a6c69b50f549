//! What is wrong is told: which exit code, which words, and what to do next.

use crate::federation::{CLIENTS, Federation, text};
use crate::program::Place;

#[test]
fn an_invitation_lets_one_node_in_and_a_guessed_one_none() {
    let federation = Federation::new();
    let place = &federation.place;
    let string = federation.invite("first");
    let join = |dir: &str, string: &str| {
        place.say(&["node", "--dir", dir, "join", "--accept", "all"], string)
    };
    join("first", &string).well();
    let again = join("second", &string);
    assert_eq!(again.code, 4, "{}", again.stderr);
    assert!(again.stderr.contains("invitation"), "{}", again.stderr);
    let (before, after) = string.split_once("token=").unwrap();
    let guessed = format!("{before}token={}{}", "A".repeat(43), &after[43..]);
    assert_eq!(join("third", &guessed).code, 4);
    assert!(!place.path("third/server.toml").exists());
}

#[test]
fn another_authority_than_the_one_of_the_login_is_no_server() {
    let federation = Federation::new();
    let other = format!("sha256:{}", "0".repeat(64));
    let ended = federation.place.say(
        &["login", &federation.url, "--ca-fingerprint", &other],
        "key",
    );
    assert_eq!(ended.code, 4, "{}", ended.stderr);
    assert!(
        ended.stderr.contains(&federation.authority),
        "{}",
        ended.stderr
    );
    let unconfirmed = federation.place.say(&["login", &federation.url], "key");
    assert_eq!(unconfirmed.code, 4, "{}", unconfirmed.stderr);
    assert!(
        unconfirmed.stderr.contains("--ca-fingerprint"),
        "{}",
        unconfirmed.stderr
    );
}

#[test]
fn a_key_that_was_revoked_opens_nothing_and_a_viewers_submits_nothing() {
    let federation = Federation::new().with_four_nodes();
    let place = &federation.place;
    federation.server(&["keys", "revoke", "ada"]).well();
    let ended = place.run(&["submit", "job.toml", "--json"]);
    assert_eq!(ended.code, 4, "{}", ended.stdout);
    let viewer = federation.key("eve", "viewer");
    federation.login(&viewer).well();
    let ended = place.run(&["submit", "job.toml", "--json"]);
    assert_eq!(ended.code, 4, "{}", ended.stdout);
    place.run(&["runs", "--json"]).well();
}

#[test]
fn a_node_that_was_revoked_is_told_and_stops() {
    let mut federation = Federation::new();
    federation.join(CLIENTS[0], "all");
    federation.server(&["revoke", CLIENTS[0]]).well();
    federation.start(CLIENTS[0]);
    let nodes = federation.server(&["nodes", "--json"]).well().last();
    assert_eq!(nodes["name"], CLIENTS[0]);
    assert_eq!(nodes["state"], "revoked");
}

#[test]
fn a_run_that_cannot_reach_its_minimum_is_refused_when_it_is_submitted() {
    let federation = Federation::new();
    let ended = federation.place.run(&[
        "submit",
        "job.toml",
        "--json",
        "--set",
        "deployment.clients=2",
    ]);
    assert_eq!(ended.code, 4, "{}", ended.stdout);
}

#[test]
fn a_server_that_was_started_again_remembers_what_its_nodes_have() {
    let mut federation = Federation::new().with_four_nodes();
    federation
        .place
        .run(&["submit", "job.toml", "--json"])
        .well();
    CLIENTS.iter().for_each(|name| federation.kill(name));
    federation.kill_server();
    federation.serve();
    let place = &federation.place;
    place
        .run(&["submit", "job.toml", "--detach", "--json"])
        .well();
    let explained = place.run(&["explain", "small-2"]).well();
    assert!(explained.stdout.contains("offline"), "{}", explained.stdout);
    let elsewhere = [
        "submit",
        "job.toml",
        "--json",
        "--set",
        "deployment.data=\"lungs\"",
    ];
    let refused = place.run(&elsewhere);
    assert_eq!(refused.code, 4, "{}", refused.stdout);
    assert!(
        refused.stdout.contains("has no data set"),
        "{}",
        refused.stdout
    );
}

#[test]
fn a_server_that_is_away_is_a_warning_for_runs_and_an_error_for_the_rest() {
    let mut federation = Federation::new();
    federation.kill_server();
    let place = &federation.place;
    place.run(&["simulate", "job.toml", "--quiet"]).well();
    let runs = place.run(&["runs", "--json"]).well();
    assert_eq!(runs.last()["run"], "small-1");
    assert!(runs.stderr.contains("cannot be reached"), "{}", runs.stderr);
    for arguments in [
        &["submit", "job.toml"][..],
        &["watch", "x-1"],
        &["explain", "x-1"],
        &["cancel", "x-1"],
        &["logs", "x-1"],
        &["download", "x-1"],
    ] {
        let arguments = [arguments, &["--json"]].concat();
        let ended = place.run(&arguments);
        assert_eq!(ended.code, 5, "{arguments:?} {}", ended.stdout);
        assert_eq!(ended.last()["event"], "error");
    }
}

#[test]
fn a_run_that_nobody_knows_is_told_by_every_command_about_runs() {
    let federation = Federation::new();
    for arguments in [
        &["watch", "x-1"][..],
        &["explain", "x-1"],
        &["cancel", "x-1"],
        &["logs", "x-1"],
        &["download", "x-1"],
        &["resume", "x-1"],
    ] {
        let ended = federation.place.run(&[arguments, &["--json"]].concat());
        assert_eq!(ended.code, 2, "{arguments:?} {}", ended.stdout);
        assert!(
            text(&ended.last()["message"]).contains("x-1"),
            "{}",
            ended.stdout
        );
    }
}

#[test]
fn commands_for_a_server_say_how_to_get_one_where_nobody_has_logged_in() {
    let place = Place::holding("job.toml", crate::federation::DIGITS);
    for arguments in [
        &["submit", "job.toml"][..],
        &["watch", "x-1"],
        &["explain", "x-1"],
        &["cancel", "x-1"],
        &["logs", "x-1"],
        &["download", "x-1"],
    ] {
        let ended = place.run(&[arguments, &["--json"]].concat());
        assert_eq!(ended.code, 2, "{arguments:?} {}", ended.stdout);
        assert!(
            text(&ended.last()["next"]).contains("commonweal login"),
            "{}",
            ended.stdout
        );
    }
}

#[test]
fn what_is_no_join_string_address_or_node_is_told_with_the_next_step() {
    let place = Place::new();
    for (arguments, said, code, part) in [
        (
            &["node", "join"][..],
            "https://somewhere",
            2,
            "copy it whole",
        ),
        (&["node", "status"], "", 2, "commonweal node join"),
        (&["node", "run"], "", 2, "commonweal node join"),
        (&["node", "requests"], "", 2, "commonweal node join"),
        (&["node", "leave"], "", 2, "commonweal node join"),
        (&["login", "http://a:1"], "", 2, "https"),
        (
            &["login", "https://127.0.0.1:1"],
            "key",
            5,
            "cannot be reached",
        ),
        (&["server", "nodes"], "", 2, "commonweal serve"),
        (&["up", "missing.toml"], "", 2, "no job file"),
        (&["submit", "missing.toml"], "", 2, "no job file"),
    ] {
        let ended = place.say(arguments, said);
        assert_eq!(ended.code, code, "{arguments:?} {}", ended.stderr);
        assert!(
            ended.stderr.contains(part),
            "{arguments:?} {}",
            ended.stderr
        );
    }
}
