//! Runs, driven in this process with sites that answer by channels: whole runs, faults, and restarts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]

mod by_hand;
mod external;
mod faults;
mod restarts;
mod site;
mod waiting;
mod whole;
mod world;

use commonweal_core::job::Job;

use site::Site;
use world::Visitor;

/// A job over the sites' tables, with `lines` at its end; at least three of them.
pub(crate) fn job(lines: &str) -> String {
    format!(
        "name = \"tiny\"\nrounds = 3\nseed = 7\n[data]\npath = \"t.csv\"\nlabel = \"y\"\ntask = \"classification\"\n\
         test = 0\n\
         [model]\nkind = \"mlp\"\nhidden = [3]\n\
         [training]\nbatch_size = 2\noptimizer = {{ kind = \"sgd\", learning_rate = 0.1 }}\n\
         [evaluation]\nevery = 2\nmetrics = [\"loss\", \"accuracy\"]\n{lines}"
    )
}

/// Sites of these names, which all agree.
pub(crate) fn visitors(job: &str, names: &[&str]) -> Vec<Visitor> {
    let job = Job::parse(job).unwrap();
    names
        .iter()
        .map(|name| Visitor::new(Site::new(name, &job)))
        .collect()
}
