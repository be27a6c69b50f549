//! The hole that a user fills: training and evaluating one client.

use alloc::string::String;

use crate::{
    ClientName, ClientState, ClientUpdate, Entropy, EvaluatePlan, MetricError, MetricSums,
    Parameters, Task, TrainPlan, WeightError,
};

/// Which rows of the data set belong to a client.
#[derive(Debug, Clone, Copy)]
pub struct ClientRows<'a> {
    /// Whose rows they are.
    pub client: &'a ClientName,
    /// Row numbers to train on, in a fixed order.
    pub train: &'a [u32],
    /// Row numbers to test on, in a fixed order.
    pub test: &'a [u32],
}

/// Watches one client's work, and can end it.
pub trait Progress {
    /// Called after each step, with the steps `done` of `total`.
    fn step(&mut self, done: u64, total: u64) -> Flow;
}

/// What the work does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop at once and return [`TrainError::Cancelled`].
    Cancel,
}

/// Progress that nobody watches.
impl Progress for () {
    fn step(&mut self, _done: u64, _total: u64) -> Flow {
        Flow::Continue
    }
}

/// Trains and evaluates one client at a time.
///
/// Everything that a result depends on is an argument: equal arguments give equal bytes. One value serves
/// one thread or one worker process, and keeps nothing of a client between two calls.
pub trait Trainer: Send {
    /// Trains `model` on the client's training rows and returns `local − global` and the advanced state.
    ///
    /// Reproducible randomness comes from the task's seed, secret randomness from `entropy`. The caller keeps
    /// the old state and takes the new one only if the update was counted.
    ///
    /// # Errors
    /// [`TrainError`]: the client takes no part in this round; after [`TrainError::TrainerLost`] the run ends.
    #[expect(clippy::too_many_arguments)]
    fn train(
        &mut self,
        task: &Task,
        plan: &TrainPlan,
        data: ClientRows<'_>,
        model: &Parameters,
        state: ClientState,
        entropy: Entropy,
        progress: &mut dyn Progress,
    ) -> Result<(ClientUpdate, ClientState), TrainError>;

    /// Measures `model` on the client's rows.
    ///
    /// # Errors
    /// [`TrainError`]: the client's rows are missing from the sums.
    fn evaluate(
        &mut self,
        task: &Task,
        plan: &EvaluatePlan,
        data: ClientRows<'_>,
        model: &Parameters,
        state: &ClientState,
        progress: &mut dyn Progress,
    ) -> Result<MetricSums, TrainError>;
}

/// Why a client could not train or evaluate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// The loss or a parameter is no finite number any more.
    #[error("training diverged at step {step}: try a smaller learning rate, or scale the data")]
    Diverged {
        /// The step, counted from 1.
        step: u64,
    },
    /// There is nothing to train on.
    #[error("the client has no training rows")]
    NoRows,
    /// The progress asked for it.
    #[error("training was cancelled")]
    Cancelled,
    /// The client counts too much or nothing.
    #[error(transparent)]
    Weight(#[from] WeightError),
    /// A prediction that cannot be measured.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The task asks for what this trainer cannot do.
    #[error("this trainer cannot do what the task asks: {what}")]
    Unsupported {
        /// What is asked.
        what: String,
    },
    /// The client's state is not this trainer's.
    #[error(
        "the client's state has format {found}, but this trainer writes {expected}: delete the state, or use the trainer that wrote it"
    )]
    State {
        /// The trainer's version.
        expected: u16,
        /// The state's version.
        found: u16,
    },
    /// The worker process failed at this client.
    #[error("{what}")]
    Worker {
        /// What happened and what to do.
        what: String,
    },
    /// The worker process fails at every client: there is no point in going on.
    #[error("{what}")]
    TrainerLost {
        /// What happened and what to do.
        what: String,
    },
}
