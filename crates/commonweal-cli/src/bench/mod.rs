//! Benchmarks: what this machine can do, and what the program makes of it.
//!
//! `commonweal bench` and `cargo bench` run the same functions. Steps and aggregation run in this
//! process on one thread; rounds, start and memory are those of whole runs in processes of their own.

mod aggregation;
mod figure;
mod machine;
mod runs;
pub mod server;
mod steps;
mod stopwatch;
mod watch;
mod work;

use std::path::PathBuf;

pub use figure::Figure;
pub use machine::Machine;
pub use watch::WatchError;

/// One benchmark.
pub struct Benchmark {
    /// Its name, and that of its figure.
    pub name: &'static str,
    /// What its number means.
    pub about: &'static str,
    /// Measures.
    pub run: fn(&Bench) -> Result<Figure, WatchError>,
}

/// What the benchmarks share.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The `commonweal` program.
    pub program: PathBuf,
    /// The folder of the data sets.
    pub data: Option<PathBuf>,
    /// The measured peaks.
    pub machine: Machine,
}

/// All benchmarks, in the order of BENCHMARKS.md.
pub const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "step-2nn",
        about: "2NN 784-200-200-10, batch 10: one SGD step, one thread",
        run: steps::two_nn,
    },
    Benchmark {
        name: "step-softmax",
        about: "softmax 784×10, batch 6: one SGD step, one thread",
        run: steps::softmax,
    },
    Benchmark {
        name: "step-cnn",
        about: "CNN of the FedAvg paper, batch 10: one SGD step, one thread",
        run: steps::cnn,
    },
    Benchmark {
        name: "step-lstm",
        about: "LSTM 2×256, 80 characters, batch 10: one SGD step, one thread",
        run: steps::lstm,
    },
    Benchmark {
        name: "round-2nn",
        about: "2NN, MNIST, 100 clients × 600, 10 a round, E=1, B=10: median round",
        run: runs::round_two_nn,
    },
    Benchmark {
        name: "round-cnn",
        about: "the CNN likewise: median round",
        run: runs::round_cnn,
    },
    Benchmark {
        name: "round-softmax",
        about: "softmax, MNIST, 10,000 clients × 6, 1,000 a round: median round",
        run: runs::round_softmax,
    },
    Benchmark {
        name: "round-torch-2nn",
        about: "the 2NN in PyTorch through two workers (COMMONWEAL_PYTHON or python3): median round",
        run: runs::round_torch,
    },
    Benchmark {
        name: "start",
        about: "start of the program to the end of round 1, 2NN, MNIST loaded",
        run: runs::start,
    },
    Benchmark {
        name: "memory",
        about: "peak memory of the 2NN run on MNIST, evaluation included",
        run: runs::memory,
    },
    Benchmark {
        name: "aggregate",
        about: "100 updates × 1,663,370 from f32 to the f32 mean, one thread, 4 bytes a parameter",
        run: aggregation::aggregate,
    },
];

/// The benchmarks whose name is `name` or starts with it.
pub fn matching(name: Option<&str>) -> impl Iterator<Item = &'static Benchmark> {
    BENCHMARKS
        .iter()
        .filter(move |benchmark| name.is_none_or(|name| benchmark.name.starts_with(name)))
}
