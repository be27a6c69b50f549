//! The server is killed: nothing that was committed is lost, nothing counts twice, and the run goes on by itself.

use crate::federation::{Federation, committed, is_round, job, of_kind};
use crate::hand::{Hand, JOB};
use crate::proxy::mix;
use crate::server::Server;

/// Bytes that nodes send in about one round, connections and polls included.
const ROUND_BYTES: u64 = 40_000;

#[test]
fn a_server_killed_at_twenty_points_ends_with_the_simulated_model() {
    const CLIENTS: usize = 4;
    let mut federation = Federation::running(&job(CLIENTS, 24), CLIENTS);
    let run = federation.server.submit(&federation.job).id;
    let mut last = 0;
    for kill in 0..20 {
        // A number of bytes is a place in a conversation: within a handshake, a poll, an upload or between them.
        let bytes = mix(kill) % ROUND_BYTES;
        federation.server.proxy().pass_up(bytes);
        federation.server.kill();
        federation.server.restart();
        let info = federation.server.info(&run);
        assert!(
            info.round >= last,
            "round {last} was committed and is lost: {info:?}"
        );
        assert!(!info.state.is_over(), "the run was over before kill {kill}");
        last = info.round;
    }
    federation.ends_as_simulated(&run);
}

#[test]
fn a_server_that_ends_well_goes_on_where_it_was() {
    const CLIENTS: usize = 3;
    let mut federation = Federation::running(&job(CLIENTS, 8), CLIENTS);
    let run = federation.server.submit(&federation.job).id;
    federation.server.follow(&run, |event| is_round(event, 3));
    federation.server.end_well();
    federation.server.restart();
    federation.ends_as_simulated(&run);
}

#[test]
fn a_report_that_was_counted_before_a_kill_counts_once_in_the_sum_after_it() {
    let mut server = Server::start();
    let mut one = Hand::enrolled(&server, "one", 1);
    let mut two = Hand::enrolled(&server, "two", 2);
    let run = server.submit(JOB).id;
    one.approve();
    two.approve();
    let before = one.work();
    one.do_honestly(&before);
    server.restart();
    // The round is opened again once both are there.
    let (again, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| two.work());
        (one.work(), other.join().unwrap())
    });
    assert_eq!(
        again.task, before.task,
        "the same task, so that nobody trains twice"
    );
    assert_ne!(again.accumulator, before.accumulator);
    one.do_honestly(&again);
    two.do_honestly(&other);
    Hand::do_the_rest(&mut [&mut one, &mut two]);
    let events = server.follow(&run, |_| false);
    assert_eq!(committed(&events), [1, 2, 3]);
    assert!(
        of_kind(&events, "round")
            .iter()
            .all(|round| round["reported"] == 2)
    );
}
