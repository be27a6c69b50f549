//! What a running simulation tells whoever watches: a progress bar, a log, a test.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Watches a run. Called on the thread that drives the rounds: what it does slows them.
pub trait Observer {
    /// Something happened.
    fn event(&mut self, event: &Event);
}

impl<F: FnMut(&Event)> Observer for F {
    fn event(&mut self, event: &Event) {
        self(event);
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: &Event) {}
}

/// A metric's name and value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// Name as in the job.
    pub name: String,
    /// Value; `null` in JSON where it is not defined, such as a ROC-AUC of one class.
    pub value: Option<f64>,
}

/// One thing that happened in a run. As JSON, tagged by `event` in snake case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The data is read and divided; round 1 comes next.
    Started {
        /// Name of the job.
        job: String,
        /// Digest of its manifest.
        manifest: String,
        /// The run folder, where one is written.
        folder: Option<PathBuf>,
        /// Rounds at most.
        rounds: u64,
        /// Rounds that are already done, where a run is resumed.
        resumed_after: u64,
        /// Clients of the federation.
        clients: u64,
        /// Rows that they train on, summed.
        train_rows: u64,
        /// Rows that they test on, summed.
        test_rows: u64,
        /// Parameters of the model.
        parameters: u64,
        /// Seeds that will run, in order.
        seeds: Vec<u64>,
        /// Threads that train.
        threads: usize,
        /// Instruction set that the kernels chose.
        instruction_set: String,
    },
    /// The run of one seed begins.
    Seed {
        /// The seed.
        seed: u64,
        /// Its place among the job's seeds, from 1.
        index: usize,
        /// How many seeds there are.
        of: usize,
    },
    /// The `prepare` task is done.
    Prepared {
        /// Digest of what it found.
        digest: String,
        /// Clients that took part.
        clients: u64,
        /// Wall clock.
        seconds: f64,
    },
    /// A round was committed.
    Round {
        /// Round, from 1.
        round: u64,
        /// Rounds at most.
        rounds: u64,
        /// Mean training loss of the counted clients, where they report it.
        loss: Option<f64>,
        /// Clients that were asked.
        cohort: u64,
        /// Clients that were counted.
        reported: u64,
        /// Clients that were refused, late or lost.
        refused: u64,
        /// Counted clients by second of training and aggregation.
        clients_per_second: f64,
        /// Training and aggregation of this round.
        seconds: f64,
    },
    /// The model was evaluated.
    Evaluated {
        /// Round after which it was.
        round: u64,
        /// Metrics by name.
        metrics: BTreeMap<String, f64>,
        /// Wall clock.
        seconds: f64,
    },
    /// One client's update was not counted.
    Refused {
        /// Round.
        round: u64,
        /// Name of the client.
        client: String,
        /// Why.
        reason: String,
    },
    /// A round ended without a new model.
    Abandoned {
        /// Round.
        round: u64,
        /// Why.
        reason: String,
    },
    /// A checkpoint is on disk.
    Checkpoint {
        /// Round after which it was taken.
        round: u64,
        /// The file.
        path: PathBuf,
    },
    /// A baseline moved on.
    BaselineProgress {
        /// `baselines`: all of them are trained side by side.
        name: String,
        /// Rows trained so far.
        done: u64,
        /// Rows to train in all.
        total: u64,
    },
    /// A baseline is done.
    Baseline {
        /// Its name.
        name: String,
        /// Seed that it ran with.
        seed: u64,
        /// Metrics by name.
        metrics: BTreeMap<String, f64>,
        /// Wall clock.
        seconds: f64,
    },
    /// Something that the user should know and that stops nothing.
    Warning {
        /// The whole sentence.
        message: String,
    },
    /// The run was asked to stop, finished its round and left a checkpoint.
    Interrupted {
        /// Rounds that are done.
        round: u64,
        /// The run folder, to be resumed.
        folder: Option<PathBuf>,
    },
    /// The run is over.
    Finished {
        /// Rounds that the first seed ran.
        rounds: u64,
        /// The metric that the job is judged by; with several seeds, the mean.
        metric: Named,
        /// Accuracy, where it makes sense; with several seeds, the mean.
        accuracy: Option<f64>,
        /// Loss of the evaluation; with several seeds, the mean.
        loss: Option<f64>,
        /// Wall clock, from reading the data to this event.
        seconds: f64,
        /// Path of the first seed's model.
        model: Option<PathBuf>,
        /// Digest of the first seed's model.
        digest: String,
    },
}
