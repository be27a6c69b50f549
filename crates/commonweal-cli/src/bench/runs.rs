//! Rounds, start and memory of whole runs.

use std::thread::available_parallelism;

use super::figure::{Figure, TimeUnit};
use super::watch::{WatchError, watch};
use super::{Bench, work};

const TWO_NN: &str = include_str!("jobs/2nn.toml");
const CNN: &str = include_str!("jobs/cnn.toml");
const SOFTMAX: &str = include_str!("jobs/softmax.toml");

/// Steps of a round of 10 clients with 600 rows each, E = 1, B = 10.
const STEPS: f64 = 600.0;

pub(super) fn round_two_nn(bench: &Bench) -> Result<Figure, WatchError> {
    round(bench, "round-2nn", TWO_NN, STEPS * work::two_nn(10))
}

pub(super) fn round_cnn(bench: &Bench) -> Result<Figure, WatchError> {
    round(bench, "round-cnn", CNN, STEPS * work::cnn(10))
}

pub(super) fn round_softmax(bench: &Bench) -> Result<Figure, WatchError> {
    round(bench, "round-softmax", SOFTMAX, 1000.0 * work::softmax(6))
}

pub(super) fn start(bench: &Bench) -> Result<Figure, WatchError> {
    let mut fastest = f64::INFINITY;
    for _ in 0..3 {
        let watched = watch(
            &bench.program,
            bench.data.as_deref(),
            TWO_NN,
            &["--set", "rounds=1"],
        )?;
        fastest = fastest.min(watched.seconds_to_round_1);
    }
    Ok(Figure::plain("start", fastest, "s"))
}

pub(super) fn memory(bench: &Bench) -> Result<Figure, WatchError> {
    let watched = watch(&bench.program, bench.data.as_deref(), TWO_NN, &[])?;
    let bytes = watched.peak_bytes.ok_or(WatchError::Incomplete {
        missing: "a record of its memory, which this operating system does not tell",
    })?;
    Ok(Figure::plain("memory", bytes / 1e6, "MB"))
}

fn round(bench: &Bench, name: &'static str, job: &str, flops: f64) -> Result<Figure, WatchError> {
    let watched = watch(&bench.program, bench.data.as_deref(), job, &[])?;
    let seconds = watched
        .median_round()
        .ok_or(WatchError::Incomplete { missing: "a round" })?;
    let threads = available_parallelism().map_or(1, usize::from);
    let unit = TimeUnit::Seconds;
    Ok(Figure::time(
        name,
        unit,
        seconds,
        flops,
        threads,
        &bench.machine,
    ))
}
