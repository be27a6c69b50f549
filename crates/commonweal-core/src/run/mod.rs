//! A run: rounds in sequence, from the initial model to the last or the first that is good enough.
//!
//! A run owns everything that its result depends on. It says what comes next, opens rounds, and commits or
//! abandons them; whoever drives it owns the clock, threads and sockets, and can stop between any two calls:
//! a [`snapshot`](Run::snapshot) goes on as if it had never stopped.

mod of_job;
mod outcome;
mod prepare;
mod snapshot;
mod stop;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

pub use of_job::{Known, RunSpecError};
pub use outcome::{CommitError, End, EvaluationOutcome, Next, RoundOutcome};
pub use prepare::open_prepare;
pub use snapshot::{Snapshot, SnapshotError, SnapshotParts};
pub use stop::{Best, Judge};

use crate::job::Stop;
use crate::{
    Abandoned, Accumulator, Aggregate, AggregateError, All, Committed, Digest, Entropy,
    EvaluatePlan, Fold, MetricKind, MetricSpec, ModelVersion, Parameters, PlainReporting,
    Population, Purpose, Randomness, Round, RoundSpec, Seed, Selector, ServerPipeline, Stage,
    Strategy, TaskId, TaskKind, Time, TrainPlan, Weight,
};

/// What a run is made of besides its model.
#[derive(Debug)]
pub struct RunSpec {
    /// The job, as a digest.
    pub manifest: Digest,
    /// What `prepare` found, as a digest; `None` if nothing was asked.
    pub prepared: Option<Digest>,
    /// The instruction set of the kernels: another may round differently.
    pub instruction_set: String,
    /// Root of all reproducible randomness.
    pub seed: Seed,
    /// Rounds at most.
    pub rounds: u64,
    /// The fewest reports that make a round.
    pub minimum: u32,
    /// Time that a round may take, in milliseconds; `None` waits for every client.
    pub round_ms: Option<u64>,
    /// The algorithm.
    pub strategy: Strategy,
    /// What is measured on the clients' test rows.
    pub metrics: Arc<MetricSpec>,
    /// Rounds from one evaluation to the next, at least 1.
    pub evaluate_every: u64,
    /// The metric by which the best model is known.
    pub metric: MetricKind,
    /// When the run ends before its last round.
    pub stop: Option<Stop>,
}

/// Rounds in sequence.
pub struct Run {
    spec: RunSpec,
    model: Parameters,
    state: State,
}

/// All of a run that changes, besides the model and the server optimizer.
#[derive(Debug, Clone, PartialEq)]
struct State {
    /// Rounds that are over.
    round: u64,
    version: ModelVersion,
    time: Time,
    /// The version that was last evaluated.
    evaluated: Option<ModelVersion>,
    abandoned: u64,
    abandoned_in_a_row: u32,
    best: Judge,
    stop: Option<Judge>,
    is_reached: bool,
}

impl Run {
    /// Rounds abandoned in a row after which a run ends: what failed so often fails again.
    pub const MAX_ABANDONED: u32 = 3;

    /// A run before its first round.
    pub fn new(spec: RunSpec, model: Parameters) -> Self {
        let state = State {
            round: 0,
            version: ModelVersion(0),
            time: Time::START,
            evaluated: None,
            abandoned: 0,
            abandoned_in_a_row: 0,
            best: Judge::new(spec.metric),
            stop: spec.stop.as_ref().map(|stop| Judge::new(stop.metric)),
            is_reached: false,
        };
        Self { spec, model, state }
    }

    /// What comes next.
    pub fn next(&self) -> Next {
        let end = self.end();
        if self.evaluation_is_due(end.is_some()) {
            return Next::Evaluate;
        }
        end.map_or(Next::Train, Next::End)
    }

    /// Opens the next round of training.
    ///
    /// With `secret`, the cohort is drawn from it and is a secret; without, from the seed. `entropy` is for the
    /// session. Opened again, the same round has the same public cohort and the same task.
    pub fn open_round(
        &self,
        population: &Population,
        secret: Option<Entropy>,
        entropy: Entropy,
        now: Time,
    ) -> Round {
        let round = self.state.round + 1;
        let strategy = &self.spec.strategy;
        let randomness = match secret {
            Some(entropy) => Randomness::Secret(entropy),
            None => Randomness::Public(self.spec.seed.derive(Purpose::Cohort, round, None)),
        };
        let cohort = strategy.selector.select(population, round, randomness);
        let mut plan = strategy.plan_of(round, self.spec.rounds);
        // Nobody is added beyond those invited, so their sum of weights stays exact.
        let clients = cohort.invited.len() as u32;
        let largest_weight = Weight::largest_for(clients);
        plan.pipeline.largest_weight = plan.pipeline.largest_weight.min(largest_weight);
        let fold = Fold::train(
            self.pipeline(&plan),
            self.state.version,
            plan.pipeline.largest_weight,
            clients,
        );
        let kind = TaskKind::Train(Arc::new(plan));
        self.open(Stage::Train, kind, fold, population, cohort, entropy, now)
    }

    /// Opens an evaluation of the model by all clients on their test rows.
    pub fn open_evaluation(&self, population: &Population, entropy: Entropy, now: Time) -> Round {
        let metrics = Arc::clone(&self.spec.metrics);
        let plan = EvaluatePlan {
            metrics: Arc::clone(&metrics),
        };
        let randomness = Randomness::Public(self.spec.seed.clone());
        let cohort = All.select(population, self.state.round, randomness);
        let fold = Fold::evaluate(metrics, self.state.version, population.clients());
        let kind = TaskKind::Evaluate(Arc::new(plan));
        self.open(
            Stage::Evaluate,
            kind,
            fold,
            population,
            cohort,
            entropy,
            now,
        )
    }

    /// Changes the model by a committed round of training. `entropy` is for the noise.
    ///
    /// # Errors
    /// Another round than the one that comes next, or an accumulator that does not hold exactly the counted
    /// reports. Nothing has changed then.
    pub fn commit(
        &mut self,
        committed: &Committed,
        accumulator: Accumulator,
        entropy: Entropy,
        now: Time,
    ) -> Result<RoundOutcome, CommitError> {
        self.admit(Stage::Train, committed, &accumulator)?;
        let pipeline = self.pipeline(&self.spec.strategy.plan);
        let Aggregate {
            mean,
            clients,
            weight,
            metrics,
            ..
        } = pipeline.on_server(accumulator, entropy)?;
        let round = self.state.round + 1;
        self.spec
            .strategy
            .optimizer
            .step(self.model.shared_mut(), &mean, round);
        self.state.round = round;
        self.state.version.0 += 1;
        self.state.time = now;
        self.state.abandoned_in_a_row = 0;
        Ok(RoundOutcome {
            round,
            version: self.state.version,
            cohort: committed.cohort(),
            clients,
            weight,
            train_loss: pipeline.metrics.value(MetricKind::Loss, &metrics),
        })
    }

    /// Takes the sums of a committed evaluation.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn commit_evaluation(
        &mut self,
        committed: &Committed,
        accumulator: &Accumulator,
        now: Time,
    ) -> Result<EvaluationOutcome, CommitError> {
        self.admit(Stage::Evaluate, committed, accumulator)?;
        let sums = accumulator
            .metrics()
            .cloned()
            .ok_or(AggregateError::OtherTask)?;
        let (round, version) = (self.state.round, self.state.version);
        let value = |kind| self.spec.metrics.value(kind, &sums);
        let is_best = self.state.best.observe(round, value(self.spec.metric));
        if let (Some(judge), Some(stop)) = (&mut self.state.stop, &self.spec.stop) {
            let value = value(stop.metric);
            judge.observe(round, value);
            let is_met = value
                .zip(stop.threshold)
                .is_some_and(|(value, bound)| bound.is_met(value));
            self.state.is_reached |= is_met;
        }
        self.state.evaluated = Some(version);
        self.state.time = now;
        Ok(EvaluationOutcome {
            round,
            version,
            clients: accumulator.clients(),
            sums,
            is_best,
        })
    }

    /// Goes on after an abandoned round or evaluation: the model is unchanged.
    ///
    /// # Errors
    /// Another round than the one that comes next.
    pub fn abandon(&mut self, abandoned: &Abandoned, now: Time) -> Result<(), CommitError> {
        let found = abandoned.task();
        self.admit_task(found.stage, found)?;
        match found.stage {
            Stage::Evaluate => self.state.evaluated = Some(self.state.version),
            Stage::Train | Stage::Prepare => {
                self.state.round += 1;
                self.state.abandoned += 1;
                self.state.abandoned_in_a_row += 1;
            }
        }
        self.state.time = now;
        Ok(())
    }

    /// The model as it stands.
    pub fn model(&self) -> &Parameters {
        &self.model
    }

    /// How often the model was changed.
    pub fn version(&self) -> ModelVersion {
        self.state.version
    }

    /// Rounds that are over, committed or abandoned.
    pub fn round(&self) -> u64 {
        self.state.round
    }

    /// Rounds that were abandoned.
    pub fn abandoned(&self) -> u64 {
        self.state.abandoned
    }

    /// When the last round was over.
    pub fn time(&self) -> Time {
        self.state.time
    }

    /// The best evaluation so far by [`RunSpec::metric`].
    pub fn best(&self) -> Option<Best> {
        self.state.best.best()
    }

    /// What the run is made of.
    pub fn spec(&self) -> &RunSpec {
        &self.spec
    }

    fn end(&self) -> Option<End> {
        let state = &self.state;
        let patience = self.spec.stop.as_ref().and_then(|stop| stop.patience);
        let waited = state.stop.as_ref().map_or(0, Judge::since);
        if state.is_reached {
            Some(End::Reached)
        } else if patience.is_some_and(|patience| waited >= patience) {
            Some(End::Patience)
        } else if state.abandoned_in_a_row >= Self::MAX_ABANDONED {
            Some(End::Abandoned)
        } else {
            (state.round >= self.spec.rounds).then_some(End::Rounds)
        }
    }

    /// After every so many rounds and at the end, unless this very model was measured already.
    fn evaluation_is_due(&self, is_end: bool) -> bool {
        let state = &self.state;
        let is_new = state.version > state.evaluated.unwrap_or(ModelVersion(0));
        is_new && (is_end || state.round.is_multiple_of(self.spec.evaluate_every.max(1)))
    }

    fn pipeline(&self, plan: &TrainPlan) -> Arc<ServerPipeline> {
        Arc::new(ServerPipeline {
            rule: self.spec.strategy.rule.clone(),
            quantizer: plan.pipeline.quantizer,
            extras: Arc::clone(&plan.pipeline.extras),
            shared_len: self.model.layout().shared_len(),
            metrics: Arc::clone(&plan.metrics),
        })
    }

    #[expect(clippy::too_many_arguments)]
    fn open(
        &self,
        stage: Stage,
        kind: TaskKind,
        fold: Fold,
        population: &Population,
        cohort: crate::Cohort,
        entropy: Entropy,
        now: Time,
    ) -> Round {
        let fold = Arc::new(fold);
        let session = Box::new(PlainReporting::new(Arc::clone(&fold)));
        let is_training = stage == Stage::Train;
        let spec = RoundSpec {
            task: self.task_id(stage),
            manifest: self.spec.manifest,
            prepared: self.spec.prepared,
            kind,
            fold,
            base: self.state.version,
            seed: self.spec.seed.clone(),
            population: population.clone(),
            cohort,
            minimum: if is_training { self.spec.minimum } else { 1 },
            // A quarter of the round's time for selection, as much as most of it for the work.
            selection_until: self.spec.round_ms.map(|ms| now.after_ms(ms / 4)),
            reporting_until: self.spec.round_ms.map(|ms| now.after_ms(ms)),
        };
        Round::new(spec, session, entropy, now)
    }

    fn task_id(&self, stage: Stage) -> TaskId {
        let round = self.state.round + u64::from(stage == Stage::Train);
        TaskId {
            round,
            stage,
            attempt: 0,
        }
    }

    fn admit_task(&self, stage: Stage, found: TaskId) -> Result<(), CommitError> {
        let next = match self.next() {
            Next::Evaluate => Stage::Evaluate,
            Next::Train | Next::End(_) => Stage::Train,
        };
        let expected = self.task_id(next);
        match stage == next && found == expected {
            true => Ok(()),
            false => Err(CommitError::OtherTask { expected, found }),
        }
    }

    fn admit(
        &self,
        stage: Stage,
        committed: &Committed,
        accumulator: &Accumulator,
    ) -> Result<(), CommitError> {
        self.admit_task(stage, committed.task())?;
        let (expected, found) = (committed.counted().len() as u32, accumulator.clients());
        match expected == found {
            true => Ok(()),
            false => Err(CommitError::Incomplete { expected, found }),
        }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
