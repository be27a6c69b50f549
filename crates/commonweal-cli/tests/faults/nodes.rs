//! Nodes are killed, frozen, started again, started twice: the run waits or goes on without them, and says why.

use commonweal_wire::control::{self, Explanation, RunState};

use crate::federation::{Federation, is_round, job, of_kind};
use crate::server::until;

const CLIENTS: usize = 3;

#[test]
fn nodes_that_are_killed_and_come_back_leave_the_model_as_it_was() {
    let mut federation = Federation::running(&job(CLIENTS, 12), CLIENTS);
    let run = federation.server.submit(&federation.job).id;
    for (round, node) in [(1, 0), (3, 1), (5, 2), (7, 0)] {
        federation
            .server
            .follow(&run, |event| is_round(event, round));
        federation.sites[node].kill();
        federation.sites[node].run();
    }
    federation.ends_as_simulated(&run);
}

#[test]
fn a_frozen_node_is_told_by_name_and_goes_on_when_it_thaws() {
    let federation = Federation::running(&job(CLIENTS, 6), CLIENTS);
    let run = federation.server.submit(&federation.job).id;
    federation.server.follow(&run, |event| is_round(event, 2));
    let frozen = federation.sites[1].name.clone();
    federation.sites[1].signal("STOP");
    until("the run says whom it waits for", || {
        let explain = control::explain(&run);
        let explanation: Explanation = federation.server.control("GET", &explain, &()).unwrap();
        let mut nodes = explanation.nodes.into_iter();
        nodes.any(|node| node.node == frozen && matches!(&node.status[..], "silent" | "offline"))
    });
    federation.sites[1].signal("CONT");
    federation.ends_as_simulated(&run);
}

#[test]
fn a_run_that_need_not_wait_goes_on_without_a_dead_node() {
    let job = job(4, 6).replace("reproducible = true", "").replace(
        "fraction = 1.0",
        "fraction = 1.0\nminimum = 3\ndeadline_seconds = 60.0",
    );
    let mut federation = Federation::running(&job, 4);
    let run = federation.server.submit(&federation.job).id;
    federation.server.follow(&run, |event| is_round(event, 2));
    let dead = federation.sites[2].name.clone();
    federation.sites[2].kill();
    let (info, events) = federation.end(&run);
    assert_eq!(info.state, RunState::Finished, "{:?}", info.reason);
    let refused = of_kind(&events, "refused");
    assert!(
        refused.iter().any(|event| event["client"] == dead),
        "{refused:?}"
    );
    assert!(federation.server.log().contains(&dead));
}

#[test]
fn a_run_that_falls_below_its_minimum_is_abandoned_with_the_reason() {
    let job = job(CLIENTS, 400)
        .replace("reproducible = true", "")
        .replace(
            "fraction = 1.0",
            "fraction = 1.0\nminimum = 3\ndeadline_seconds = 20.0",
        );
    let mut federation = Federation::running(&job, CLIENTS);
    let run = federation.server.submit(&federation.job).id;
    federation.server.follow(&run, |event| is_round(event, 2));
    let dead = federation.sites[2].name.clone();
    federation.sites[2].kill();
    let events = federation
        .server
        .follow(&run, |event| event.event["event"] == "abandoned");
    let abandoned = of_kind(&events, "abandoned");
    assert!(!abandoned.is_empty());
    assert!(federation.server.log().contains(&dead));
}

#[test]
fn the_second_node_of_one_key_takes_over_and_the_first_says_so() {
    let mut federation = Federation::running(&job(CLIENTS, 40), CLIENTS);
    let run = federation.server.submit(&federation.job).id;
    federation.server.follow(&run, |event| is_round(event, 2));
    let mut twin = federation.sites[0].twin();
    twin.run();
    assert_ne!(federation.sites[0].ended(), Some(0));
    let said = federation.sites[0].log();
    assert!(said.contains("in use"), "{said}");
    federation.ends_as_simulated(&run);
}
