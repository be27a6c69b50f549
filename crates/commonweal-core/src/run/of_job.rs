//! From a job to what its run is made of.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::RunSpec;
use crate::job::{
    AggregatorSpec, BatchSize, ClassWeights, CohortSize, CohortSpec, Job, LocalLength, Sampling,
    StrategyKind,
};
use crate::{
    All, ClientPipeline, Digest, MetricError, MetricSpec, Poisson, Quantizer, QuantizerError, Seed,
    Selector, Strategy, TrainPlan, Uniform,
};

/// What a job leaves open until its data are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The job, as a digest.
    pub manifest: Digest,
    /// What `prepare` found, as a digest.
    pub prepared: Option<Digest>,
    /// Training rows of each class as `prepare` counted them, in the order of the classes; zeros where it did
    /// not, and empty if the target is a number.
    pub class_rows: Vec<u64>,
    /// The instruction set of the kernels.
    pub instruction_set: String,
}

/// Why a job makes no run on these data.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RunSpecError {
    /// A metric that does not fit the target.
    #[error("evaluation.metrics: {0}")]
    Metric(#[from] MetricError),
    /// A bound that is no bound.
    #[error(transparent)]
    Quantizer(#[from] QuantizerError),
    /// Class weights for another number of classes.
    #[error("training.class_weights has {found} factors, the target has {expected} classes")]
    ClassWeights {
        /// Classes of the target.
        expected: usize,
        /// Factors of the job.
        found: usize,
    },
    /// A share of the population that draws nobody.
    #[error("cohort.sampling = \"poisson\" needs cohort.fraction: the probability of each client")]
    PoissonTarget,
}

impl RunSpec {
    /// The run of `job` on data of which `known` is known.
    ///
    /// # Errors
    /// The job does not fit the data.
    pub fn of_job(job: &Job, known: Known) -> Result<Self, RunSpecError> {
        let classes = known.class_rows.len() as u32;
        let metrics = MetricSpec::new(job.evaluation.metrics.clone(), classes)?;
        let deadline_ms = |seconds: f64| libm::ceil(seconds * 1000.0) as u64;
        Ok(Self {
            manifest: known.manifest,
            prepared: known.prepared,
            instruction_set: known.instruction_set,
            seed: Seed::from(job.seed),
            rounds: job.rounds.into(),
            minimum: job.cohort.minimum,
            round_ms: job.cohort.deadline_seconds.map(deadline_ms),
            strategy: Strategy::of_job(job, &known.class_rows)?,
            metrics: Arc::new(metrics),
            evaluate_every: job.evaluation.every.into(),
            metric: job.evaluation.metric,
            stop: job.stop.clone(),
        })
    }
}

impl Strategy {
    /// The algorithm of `job` for classes with so many training rows each.
    ///
    /// # Errors
    /// The job does not fit the data.
    pub fn of_job(job: &Job, class_rows: &[u64]) -> Result<Self, RunSpecError> {
        let spec = &job.strategy;
        let learning_rate = spec.server_learning_rate as f32;
        let (selector, plan) = (selector(&job.cohort)?, plan(job, class_rows)?);
        let strategy = match spec.kind {
            StrategyKind::FedAvg => Self::fed_avg(selector, plan, learning_rate),
            StrategyKind::FedSgd => Self::fed_sgd(selector, plan, learning_rate),
            StrategyKind::FedAvgM => {
                let momentum = spec.server_momentum as f32;
                Self::fed_avg_momentum(selector, plan, learning_rate, momentum)
            }
        };
        let strategy = match spec.aggregator {
            AggregatorSpec::Mean => strategy,
            AggregatorSpec::Median => strategy.with_median(),
        };
        Ok(Self {
            schedule: job.training.schedule.clone(),
            ..strategy
        })
    }
}

fn selector(spec: &CohortSpec) -> Result<Box<dyn Selector>, RunSpecError> {
    Ok(match (spec.sampling, spec.size) {
        (Sampling::Uniform, size) => Box::new(Uniform {
            size,
            over_selection: spec.over_selection,
        }),
        (Sampling::Poisson, CohortSize::Fraction(rate)) => Box::new(Poisson { rate }),
        (Sampling::Poisson, CohortSize::Target(_)) => return Err(RunSpecError::PoissonTarget),
        (Sampling::All, _) => Box::new(All),
    })
}

fn plan(job: &Job, class_rows: &[u64]) -> Result<TrainPlan, RunSpecError> {
    let training = &job.training;
    let (epochs, steps) = match training.length {
        LocalLength::Epochs(epochs) => (epochs, None),
        LocalLength::Steps(steps) => (1, Some(steps)),
    };
    let batch_size = match training.batch_size {
        BatchSize::Rows(rows) => Some(rows),
        BatchSize::All => None,
    };
    Ok(TrainPlan {
        epochs,
        steps,
        batch_size,
        optimizer: training.optimizer.rule(),
        learning_rate: training.optimizer.learning_rate() as f32,
        class_weights: match &training.class_weights {
            Some(weights) => Some(weights.factors(class_rows)?),
            None => None,
        },
        weighting: job.strategy.weighting,
        metrics: Arc::new(MetricSpec::loss()),
        pipeline: ClientPipeline::plain(Quantizer::new(training.max_abs_update)?),
    })
}

impl ClassWeights {
    /// One factor a class, for classes with so many training rows each.
    ///
    /// Balanced factors are rows / (classes × rows of the class), as in scikit-learn; a class without rows
    /// gets 1, since it is never used.
    ///
    /// # Errors
    /// [`RunSpecError::ClassWeights`].
    pub fn factors(&self, class_rows: &[u64]) -> Result<Arc<[f32]>, RunSpecError> {
        let classes = class_rows.len();
        match self {
            Self::Balanced => {
                let rows: u64 = class_rows.iter().sum();
                let factor = |&own: &u64| match own {
                    0 => 1.0,
                    own => (rows as f64 / (classes as f64 * own as f64)) as f32,
                };
                Ok(class_rows.iter().map(factor).collect())
            }
            Self::Each(factors) if factors.len() == classes => {
                Ok(factors.iter().map(|&factor| factor as f32).collect())
            }
            Self::Each(factors) => Err(RunSpecError::ClassWeights {
                expected: classes,
                found: factors.len(),
            }),
        }
    }
}
