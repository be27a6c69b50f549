//! What a deployment costs beside a simulation of the same job: `up` and `simulate`, whole runs with real nodes.

use std::path::Path;

use super::Say;
use super::error::LoadError;
use super::figure::{ServerFigure, Target};
use crate::bench::watch::{Watched, watch};
use crate::template::Template;

/// Runs of each kind; the fastest counts, for others on the machine only ever add.
const REPETITIONS: usize = 3;

/// Measures a round's overhead, where there is MNIST, and the start of a federation on embedded data.
pub(super) fn measure(program: &Path, data: Option<&Path>, say: Say<'_>) -> Result<(), LoadError> {
    if data.is_some() {
        let job = ("2nn.toml", include_str!("jobs/2nn.toml"));
        let round = |command| {
            let run = || watch(program, command, data, &[job], &[]);
            fastest(run, |watched| {
                watched.median_round().unwrap_or(f64::INFINITY)
            })
        };
        let (simulated, deployed) = (round("simulate")?, round("up")?);
        let overhead = 1e3 * (deployed - simulated);
        say(ServerFigure::held_to(
            "overhead",
            overhead,
            "ms",
            Target::AtMost(60.0),
        ));
        say(ServerFigure::plain(
            "overhead-simulated",
            1e3 * simulated,
            "ms",
        ));
    }
    let job = ("digits.toml", Template::Digits.job());
    let run = || watch(program, "up", None, &[job], &["--set", "rounds=1"]);
    let start = fastest(run, |watched| watched.seconds_to_round_1)?;
    say(ServerFigure::held_to(
        "up-start",
        start,
        "s",
        Target::AtMost(1.5),
    ));
    Ok(())
}

fn fastest<E>(
    mut run: impl FnMut() -> Result<Watched, E>,
    seconds: impl Fn(&Watched) -> f64,
) -> Result<f64, E> {
    let mut fastest = f64::INFINITY;
    for _ in 0..REPETITIONS {
        fastest = fastest.min(seconds(&run()?));
    }
    Ok(fastest)
}
