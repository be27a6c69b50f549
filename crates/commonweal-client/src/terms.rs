//! The terms of an approved job: what a task may ask of a node in each round.
//!
//! A task travels with its whole plan, and only its manifest's digest says of which job it is. The node therefore
//! works the plan out itself, as the server does, and compares. The values of the model cannot be compared: only
//! the server knows them.

use commonweal_core::job::Job;
use commonweal_core::{
    ClientName, EvaluatePlan, Known, Purpose, RunSpec, RunSpecError, Stage, Task, TaskId, TaskKind,
    TrainPlan,
};

/// What the rounds of one job ask of one node, on data of which is known what all nodes found together.
pub(crate) struct Terms {
    spec: RunSpec,
    name: ClientName,
}

/// What of a task is not of the approved job. Names parts of a plan, never what they hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// A round that the job does not have.
    #[error(
        "the server gives the task {found}, but the job that was approved ends with round {expected}"
    )]
    Round {
        /// The last round.
        expected: u64,
        /// The task.
        found: TaskId,
    },
    /// A task that is called otherwise than what it asks for.
    #[error("the server calls a task {found} and asks to {expected} in it")]
    Stage {
        /// What it asks for.
        expected: Stage,
        /// What it is called.
        found: TaskId,
    },
    /// A plan that the job does not make.
    #[error(
        "the server gives the task {task} another {part} than the job that was approved: is it of another version?"
    )]
    Plan {
        /// The task.
        task: TaskId,
        /// The part of its plan.
        part: &'static str,
    },
}

impl Terms {
    /// The terms of `job` for the node `name`.
    ///
    /// # Errors
    /// The job makes no run on these data.
    pub(crate) fn of_job(job: &Job, known: Known, name: &ClientName) -> Result<Self, RunSpecError> {
        Ok(Self {
            spec: RunSpec::of_job(job, known)?,
            name: name.clone(),
        })
    }

    /// Whether a task of training or evaluation is one that the job makes.
    ///
    /// # Errors
    /// [`TermsError`]: the first part that differs.
    pub(crate) fn admit(&self, task: &Task) -> Result<(), TermsError> {
        admit_stage(task)?;
        let (expected, found) = (self.spec.rounds, task.id);
        if found.round > expected {
            return Err(TermsError::Round { expected, found });
        }
        let other = match &task.kind {
            TaskKind::Prepare(_) => None,
            TaskKind::Train(plan) => self.other_training(task, plan),
            TaskKind::Evaluate(plan) => self.other_evaluation(task, plan),
        };
        match other {
            Some(part) => Err(TermsError::Plan { task: found, part }),
            None => Ok(()),
        }
    }

    /// The largest weight is not compared: it follows from the cohort, and all that it can do is refuse an update.
    fn other_training(&self, task: &Task, found: &TrainPlan) -> Option<&'static str> {
        let expected = self.spec.strategy.plan_of(task.id.round, self.spec.rounds);
        let factors = |plan: &TrainPlan| plan.class_weights.clone().unwrap_or_default();
        first_false([
            (found.epochs == expected.epochs, "number of epochs"),
            (found.steps == expected.steps, "number of steps"),
            (found.batch_size == expected.batch_size, "batch size"),
            (found.optimizer == expected.optimizer, "optimizer"),
            (
                found.learning_rate == expected.learning_rate,
                "learning rate",
            ),
            (factors(found) == factors(&expected), "class weights"),
            (found.weighting == expected.weighting, "weighting"),
            (found.metrics == expected.metrics, "metrics"),
            (
                found.pipeline.clip == expected.pipeline.clip,
                "clipping norm",
            ),
            (
                found.pipeline.quantizer == expected.pipeline.quantizer,
                "grid",
            ),
            (
                found.pipeline.extras == expected.pipeline.extras,
                "extra vectors",
            ),
            (self.is_seed(task, Purpose::Train), "seed"),
        ])
    }

    fn other_evaluation(&self, task: &Task, found: &EvaluatePlan) -> Option<&'static str> {
        first_false([
            (found.metrics == self.spec.metrics, "metrics"),
            (self.is_seed(task, Purpose::Evaluate), "seed"),
        ])
    }

    fn is_seed(&self, task: &Task, purpose: Purpose) -> bool {
        let round = task.id.round;
        task.seed == self.spec.seed.derive(purpose, round, Some(&self.name))
    }
}

/// Whether a task is called what it asks for: the record of the node has the name.
///
/// # Errors
/// [`TermsError::Stage`].
pub(crate) fn admit_stage(task: &Task) -> Result<(), TermsError> {
    let (expected, found) = (task.kind.stage(), task.id);
    match expected == found.stage {
        true => Ok(()),
        false => Err(TermsError::Stage { expected, found }),
    }
}

fn first_false<const PARTS: usize>(parts: [(bool, &'static str); PARTS]) -> Option<&'static str> {
    let other = parts.into_iter().find(|(is_same, _)| !is_same);
    other.map(|(_, part)| part)
}
