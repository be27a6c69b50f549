//! Rounds, start and memory of whole runs.

use std::thread::available_parallelism;

use super::figure::{Figure, TimeUnit};
use super::watch::{WatchError, watch};
use super::{Bench, work};

type Files = [(&'static str, &'static str)];

const TWO_NN: &Files = &[("2nn.toml", include_str!("jobs/2nn.toml"))];
const CNN: &Files = &[("cnn.toml", include_str!("jobs/cnn.toml"))];
const SOFTMAX: &Files = &[("softmax.toml", include_str!("jobs/softmax.toml"))];

/// The job and the trainer of `examples/pytorch/`.
const TORCH: &Files = &[
    (
        "job.toml",
        include_str!("../../../../examples/pytorch/job.toml"),
    ),
    (
        "train.py",
        include_str!("../../../../examples/pytorch/train.py"),
    ),
];

/// Environment variable that names a Python with PyTorch, where `python3` has none.
const PYTHON_VARIABLE: &str = "COMMONWEAL_PYTHON";

/// Steps of a round of 10 clients with 600 rows each, E = 1, B = 10.
const STEPS: f64 = 600.0;

pub(super) fn round_two_nn(bench: &Bench) -> Result<Figure, WatchError> {
    round(bench, "round-2nn", TWO_NN, STEPS * work::two_nn(10), &[])
}

pub(super) fn round_cnn(bench: &Bench) -> Result<Figure, WatchError> {
    round(bench, "round-cnn", CNN, STEPS * work::cnn(10), &[])
}

pub(super) fn round_softmax(bench: &Bench) -> Result<Figure, WatchError> {
    round(
        bench,
        "round-softmax",
        SOFTMAX,
        1000.0 * work::softmax(6),
        &[],
    )
}

pub(super) fn round_torch(bench: &Bench) -> Result<Figure, WatchError> {
    let python = std::env::var(PYTHON_VARIABLE).unwrap_or_else(|_| "python3".to_owned());
    let command = format!("simulation.trainers.torch-2nn.command=[{python:?}, \"train.py\"]");
    let flags = ["--set", command.as_str(), "--set", "evaluation.every=1000"];
    let flops = STEPS * work::two_nn(10);
    round(bench, "round-torch-2nn", TORCH, flops, &flags)
}

pub(super) fn start(bench: &Bench) -> Result<Figure, WatchError> {
    let mut fastest = f64::INFINITY;
    for _ in 0..3 {
        let watched = watch(
            &bench.program,
            "simulate",
            bench.data.as_deref(),
            TWO_NN,
            &["--set", "rounds=1"],
        )?;
        fastest = fastest.min(watched.seconds_to_round_1);
    }
    Ok(Figure::plain("start", fastest, "s"))
}

pub(super) fn memory(bench: &Bench) -> Result<Figure, WatchError> {
    let watched = watch(
        &bench.program,
        "simulate",
        bench.data.as_deref(),
        TWO_NN,
        &[],
    )?;
    let bytes = watched.peak_bytes.ok_or(WatchError::Incomplete {
        missing: "a record of its memory, which this operating system does not tell",
    })?;
    Ok(Figure::plain("memory", bytes / 1e6, "MB"))
}

fn round(
    bench: &Bench,
    name: &'static str,
    files: &Files,
    flops: f64,
    flags: &[&str],
) -> Result<Figure, WatchError> {
    let watched = watch(
        &bench.program,
        "simulate",
        bench.data.as_deref(),
        files,
        flags,
    )?;
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
