//! What dies comes back, and the model is the one that a simulation ends in.

use crate::federation::{DIGITS, Federation, simulated, text};

const ALL: [&str; 4] = [
    "--set",
    "deployment.clients=4",
    "--set",
    "deployment.reproducible=true",
];

#[test]
fn a_node_and_the_server_that_are_killed_and_come_back_change_nothing() {
    let mut federation = Federation::new().with_four_nodes();
    let job = DIGITS.replace("rounds = 4", "rounds = 12");
    federation.place.write("job.toml", &job);
    let mut submitted = federation
        .place
        .start(&[&["submit", "job.toml"][..], &ALL].concat());
    submitted.until("round", |event| event["round"] == 3);
    federation.kill("client-001");
    federation.start("client-001");
    submitted.until("round", |event| event["round"] == 6);
    federation.kill_server();
    federation.serve();
    let finished = submitted.until("finished", |_| true);
    let (_, code) = submitted.end();
    assert_eq!(code, 0);
    assert_eq!(text(&finished["digest"]), simulated(&federation.place, &[]));
}
