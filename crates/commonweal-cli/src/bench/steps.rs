//! One step of plain SGD of each model, on one thread, in memory that is allocated before.

use std::time::Duration;

use commonweal_train::fixture::Fixture;

use super::figure::{Figure, TimeUnit};
use super::stopwatch::fastest;
use super::watch::WatchError;
use super::{Bench, work};

const BUDGET: Duration = Duration::from_secs(2);

pub(super) fn two_nn(bench: &Bench) -> Result<Figure, WatchError> {
    let unit = TimeUnit::Microseconds;
    step(
        bench,
        "step-2nn",
        unit,
        work::two_nn(10),
        Fixture::two_nn()?,
    )
}

pub(super) fn softmax(bench: &Bench) -> Result<Figure, WatchError> {
    let unit = TimeUnit::Microseconds;
    step(
        bench,
        "step-softmax",
        unit,
        work::softmax(6),
        Fixture::softmax()?,
    )
}

pub(super) fn cnn(bench: &Bench) -> Result<Figure, WatchError> {
    let unit = TimeUnit::Milliseconds;
    step(bench, "step-cnn", unit, work::cnn(10), Fixture::cnn()?)
}

pub(super) fn lstm(bench: &Bench) -> Result<Figure, WatchError> {
    let unit = TimeUnit::Milliseconds;
    step(
        bench,
        "step-lstm",
        unit,
        work::lstm(10, 80, 8, 256, 86),
        Fixture::lstm()?,
    )
}

fn step(
    bench: &Bench,
    name: &'static str,
    unit: TimeUnit,
    flops: f64,
    mut fixture: Fixture,
) -> Result<Figure, WatchError> {
    let seconds = fastest(BUDGET, || {
        std::hint::black_box(fixture.step());
    });
    Ok(Figure::time(name, unit, seconds, flops, 1, &bench.machine))
}
