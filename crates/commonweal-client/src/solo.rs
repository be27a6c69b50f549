//! A federation of this node alone: the job's rounds with the core's own machine, and one client.
//!
//! What a dry run shows is what such a round makes the node send; what the node could learn without the others is
//! what all of them come to.

use std::sync::Arc;

use commonweal_core::job::{CohortSize, CohortSpec, Job, Sampling};
use commonweal_core::{
    AbandonReason, Accumulator, Action, AggregateError, ClientName, CommitError, Committed, Digest,
    Entropy, Event, Fold, Known, MetricSums, Next, Parameters, Payload, Population, PrepareError,
    PrepareSpec, PrepareSums, Prepared, Refusal, Round, Run, RunSpec, RunSpecError, Step, Task,
    Time, open_prepare,
};
use commonweal_disk::{EntropySource, NoEntropy};
use commonweal_train::instruction_set;

/// A run whose only client is asked by a function.
pub(crate) struct Solo {
    run: Run,
    population: Population,
    entropy: EntropySource,
}

/// Why a node alone comes to no end.
#[derive(Debug, thiserror::Error)]
pub enum SoloError {
    /// The node's own part failed.
    #[error(transparent)]
    Session(#[from] crate::session::SessionError),
    /// The report would be refused.
    #[error("the server would refuse the report: {0}")]
    Refused(#[from] Refusal),
    /// The round was abandoned.
    #[error("the round was abandoned: {0}")]
    Abandoned(AbandonReason),
    /// The round has no end.
    #[error("the round did not end: please report this")]
    Unfinished,
    /// The sums say nothing.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The job makes no run on these data.
    #[error(transparent)]
    RunSpec(#[from] RunSpecError),
    /// Sums do not fit.
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
    /// A round does not fit its run.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// No secret randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// Answers a task as a node would.
pub(crate) type Answer<'a> = dyn FnMut(&Task) -> Result<Payload, SoloError> + 'a;

/// The `prepare` round of one node: what is found where nobody else has a row.
pub(crate) fn prepare(
    spec: &PrepareSpec,
    manifest: Digest,
    node: &ClientName,
    answer: &mut Answer<'_>,
) -> Result<Prepared, SoloError> {
    let spec = Arc::new(spec.clone());
    let population = Population::single(node.clone());
    let entropy = EntropySource::from_system()?.draw();
    let round = open_prepare(
        Arc::clone(&spec),
        manifest,
        &population,
        1,
        None,
        entropy,
        Time::START,
    );
    let (_, sum) = drive(round, answer)?;
    let nobody = || PrepareSums::zero(&spec);
    let sums = sum.prepare().cloned().unwrap_or_else(nobody);
    Ok(sums.finish(&spec, manifest)?)
}

impl Solo {
    /// The run of `job` with `node` alone, from `initial`.
    pub(crate) fn new(
        job: &Job,
        known: SoloKnown,
        node: &ClientName,
        initial: Parameters,
    ) -> Result<Self, SoloError> {
        let cohort = CohortSpec {
            size: CohortSize::Target(1),
            minimum: 1,
            over_selection: 1.0,
            sampling: Sampling::All,
            deadline_seconds: None,
        };
        let job = Job {
            cohort,
            stop: None,
            ..job.clone()
        };
        let known = Known {
            manifest: known.manifest,
            prepared: known.prepared,
            class_rows: known.class_rows,
            instruction_set: instruction_set().to_string(),
        };
        Ok(Self {
            run: Run::new(RunSpec::of_job(&job, known)?, initial),
            population: Population::single(node.clone()),
            entropy: EntropySource::from_system()?,
        })
    }

    /// What comes next.
    pub(crate) fn next(&self) -> Next {
        self.run.next()
    }

    /// The model as it stands.
    pub(crate) fn model(&self) -> &Parameters {
        self.run.model()
    }

    /// The metrics that are measured.
    pub(crate) fn spec(&self) -> &RunSpec {
        self.run.spec()
    }

    /// One round of training.
    pub(crate) fn train(&mut self, answer: &mut Answer<'_>) -> Result<(), SoloError> {
        let entropy = self.entropy.draw();
        let round = self
            .run
            .open_round(&self.population, None, entropy, Time::START);
        let (committed, sum) = drive(round, answer)?;
        let noise: Entropy = self.entropy.draw();
        self.run.commit(&committed, sum, noise, Time::START)?;
        Ok(())
    }

    /// Measures the model as it stands.
    pub(crate) fn evaluate(&mut self, answer: &mut Answer<'_>) -> Result<MetricSums, SoloError> {
        let entropy = self.entropy.draw();
        let round = self
            .run
            .open_evaluation(&self.population, entropy, Time::START);
        let (committed, sum) = drive(round, answer)?;
        let outcome = self.run.commit_evaluation(&committed, &sum, Time::START)?;
        Ok(outcome.sums)
    }
}

/// What a run is bound to once the data are known.
pub(crate) struct SoloKnown {
    pub(crate) manifest: Digest,
    pub(crate) prepared: Option<Digest>,
    pub(crate) class_rows: Vec<u64>,
}

/// Drives a round of one client to its end.
fn drive(mut round: Round, answer: &mut Answer<'_>) -> Result<(Committed, Accumulator), SoloError> {
    let fold: Arc<Fold> = Arc::clone(round.fold());
    let mut sum = fold.zero();
    let now = Time::START;
    while let Some(action) = round.poll_action() {
        match action {
            Action::Invite { client } => round.handle(Event::CheckIn { client }, now)?,
            Action::Configure { client, task } => {
                let message = answer(&task)?;
                let report = Event::Report {
                    client,
                    task: task.id,
                    step: Step(0),
                    message,
                };
                round.handle(report, now)?;
            }
            Action::Fold { client, message } => {
                fold.accumulate(&mut sum, client, message)?;
                round.handle(Event::Folded { client }, now)?;
            }
            Action::Commit(committed) => return Ok((committed, sum)),
            Action::Abandon(abandoned) => {
                return Err(SoloError::Abandoned(abandoned.reason().clone()));
            }
            Action::Send { .. } | Action::Dismiss { .. } => {}
        }
    }
    Err(SoloError::Unfinished)
}
