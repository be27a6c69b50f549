//! What the whole-system tests share: small jobs on embedded data.

use std::num::NonZeroUsize;
use std::path::Path;

use commonweal_core::job::{CohortSize, Job, LocalLength};
use commonweal_disk::observer::Silent;
use commonweal_sim::{Ending, Environment, Finished, Simulation};

/// Digits over 20 clients, Dirichlet α = 0.3, 5 a round, with `more` sections.
pub(crate) fn digits(rounds: u32, more: &str) -> Job {
    digits_with(rounds, "", more)
}

/// As [`digits`], with further lines in `[simulation]`.
pub(crate) fn digits_with(rounds: u32, simulation: &str, more: &str) -> Job {
    let text = format!(
        r#"
name = "digits"
rounds = {rounds}
seed = 1
[data]
name = "digits"
[simulation]
clients = 20
partition = {{ kind = "dirichlet", alpha = 0.3 }}
{simulation}
[model]
kind = "mlp"
hidden = [32]
[training]
batch_size = 10
optimizer = {{ kind = "sgd", learning_rate = 0.2 }}
[cohort]
target = 5
minimum = 2
{more}
"#
    );
    Job::parse(&text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// An environment of so many threads that writes into `runs`, if any.
pub(crate) fn environment(threads: usize, runs: Option<&Path>) -> Environment {
    Environment {
        threads: NonZeroUsize::new(threads),
        runs: runs.map(Path::to_path_buf),
        ..Environment::default()
    }
}

/// Runs a job to its end.
pub(crate) fn finish(job: Job, environment: Environment) -> Finished {
    let ended = Simulation::new(job, environment).and_then(|one| one.run(&mut Silent));
    match ended {
        Ok(Ending::Finished(finished)) => *finished,
        Ok(Ending::Interrupted { round, .. }) => panic!("interrupted after round {round}"),
        Err(error) => panic!("{error}"),
    }
}

/// As [`digits`], with `target` clients a round that train for `epochs`.
pub(crate) fn digits_of(rounds: u32, target: u32, epochs: u32) -> Job {
    let mut job = digits(rounds, "");
    job.cohort.size = CohortSize::Target(target);
    job.training.length = LocalLength::Epochs(epochs);
    job
}
