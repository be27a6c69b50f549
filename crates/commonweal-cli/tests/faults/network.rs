//! The network delays, cuts, crumbles, repeats, corrupts and goes silent: the run ends with the simulated model all the same.

use crate::federation::{Federation, job};
use crate::proxy::{Fault, storm};

const CLIENTS: usize = 3;

#[test]
fn a_run_through_a_storm_ends_with_the_simulated_model() {
    for seed in 0..3 {
        let federation = Federation::running(&job(CLIENTS, 6), CLIENTS);
        federation.server.turn(storm(seed, 40, 6_000));
        let run = federation.server.submit(&federation.job).id;
        federation.ends_as_simulated(&run);
        assert!(federation.server.proxy().faults() > 10);
    }
}

#[test]
fn a_run_through_crumbs_and_delays_ends_with_the_simulated_model() {
    let federation = Federation::running(&job(CLIENTS, 4), CLIENTS);
    federation.server.turn(Box::new(|number| match number % 2 {
        0 => Fault::Crumble { size: 11 },
        _ => Fault::Delay { ms: 5 },
    }));
    let run = federation.server.submit(&federation.job).id;
    federation.ends_as_simulated(&run);
}

#[test]
fn a_run_over_connections_that_go_silent_ends_with_the_simulated_model() {
    let federation = Federation::running(&job(CLIENTS, 2), CLIENTS);
    // Enough for a handshake and a request or two; then nothing comes through and nothing is closed.
    federation.server.turn(Box::new(|number| match number {
        0..6 => Fault::Swallow { after: 2_000 },
        _ => Fault::Clear,
    }));
    let run = federation.server.submit(&federation.job).id;
    federation.ends_as_simulated(&run);
    assert!(federation.server.proxy().faults() > 0);
}
