//! Large populations cost bytes a client, and large cohorts no memory for their updates.
//!
//! Alone in its file, so alone in its process: it looks at the largest memory of the process.
#![cfg(target_os = "linux")]

use std::num::NonZeroUsize;

use commonweal_core::job::Job;
use commonweal_disk::memory::peak_bytes;
use commonweal_disk::observer::Silent;
use commonweal_sim::{Ending, Environment, Simulation};

#[test]
fn a_million_clients_and_a_cohort_of_a_thousand_fit_into_little_memory() {
    let job = "name = \"drawn\"\nrounds = 2\n[data]\nname = \"digits\"\n[simulation]\n\
               clients = 1000000\npartition = { kind = \"drawn\", rows = 2 }\n\
               [model]\nkind = \"mlp\"\nhidden = [512]\n[cohort]\ntarget = 1000\n";
    let environment = Environment {
        threads: NonZeroUsize::new(2),
        ..Environment::default()
    };
    let simulation = Simulation::new(Job::parse(job).unwrap(), environment).unwrap();
    let before = peak_bytes().unwrap();
    let Ok(Ending::Finished(finished)) = simulation.run(&mut Silent) else {
        panic!("no end")
    };
    assert_eq!(finished.summary.clients, 1_000_000);
    let grown = peak_bytes().unwrap() - before;
    // The updates of one cohort are 1000 × 150 kB, and a million names would be 40 MB.
    assert!(grown < 40_000_000, "{grown} bytes");
}
