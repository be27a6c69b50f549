//! A built-in trainer with something done before each client: what tests put between.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use commonweal_core::job::Job;
use commonweal_core::{
    ClientRows, ClientState, ClientUpdate, Entropy, EvaluatePlan, MetricSums, Parameters, Progress,
    Task, TrainError, TrainPlan, Trainer,
};
use commonweal_data::Dataset;
use commonweal_sim::{Environment, Simulation};
use commonweal_train::{BuiltInTrainer, Model};

/// What happens around the training and evaluation of a client.
pub(crate) trait Around: Clone + Send + Sync + 'static {
    /// May change the client's state, fail in its place, or look on.
    fn train(
        &self,
        data: ClientRows<'_>,
        state: ClientState,
        train: &mut dyn FnMut() -> Result<ClientUpdate, TrainError>,
    ) -> Result<(ClientUpdate, ClientState), TrainError>;

    /// Looks on.
    fn evaluate(&self, _data: ClientRows<'_>, _state: &ClientState) {}
}

/// The built-in trainer with something around it.
struct Wrapped<A> {
    inner: BuiltInTrainer,
    around: A,
}

impl<A: Around> Trainer for Wrapped<A> {
    fn train(
        &mut self,
        task: &Task,
        plan: &TrainPlan,
        data: ClientRows<'_>,
        model: &Parameters,
        state: ClientState,
        entropy: Entropy,
        progress: &mut dyn Progress,
    ) -> Result<(ClientUpdate, ClientState), TrainError> {
        let (inner, mut entropy) = (&mut self.inner, Some(entropy));
        self.around.train(data, state, &mut || {
            let entropy = entropy.take().ok_or(TrainError::Cancelled)?;
            let own = ClientState::default();
            Ok(inner
                .train(task, plan, data, model, own, entropy, progress)?
                .0)
        })
    }

    fn evaluate(
        &mut self,
        task: &Task,
        plan: &EvaluatePlan,
        data: ClientRows<'_>,
        model: &Parameters,
        state: &ClientState,
        progress: &mut dyn Progress,
    ) -> Result<MetricSums, TrainError> {
        self.around.evaluate(data, state);
        self.inner
            .evaluate(task, plan, data, model, &ClientState::default(), progress)
    }
}

/// A simulation of `job` with `around` its training.
pub(crate) fn wrapped(
    job: &Job,
    threads: usize,
    runs: Option<&Path>,
    around: impl Around,
) -> Simulation {
    let environment = Environment {
        threads: NonZeroUsize::new(threads),
        runs: runs.map(Path::to_path_buf),
        ..Environment::default()
    };
    with(Simulation::new(job.clone(), environment).unwrap(), around)
}

/// `simulation` with `around` its training.
pub(crate) fn with(simulation: Simulation, around: impl Around) -> Simulation {
    let model = simulation.job().model.clone();
    simulation.with_trainer(move |data: &Arc<Dataset>| {
        let model = Arc::new(Model::build(&model, &data.shape()).unwrap());
        let inner = BuiltInTrainer::new(model, Arc::clone(data));
        Wrapped {
            inner,
            around: around.clone(),
        }
    })
}
