//! How long a baseline trains: by default until it has learned from as many rows as the federated run did.

use std::sync::Arc;

use commonweal_core::job::{CohortSize, Job, LocalLength, Sampling, StrategyKind};
use commonweal_core::{RunSpec, TrainPlan, Weighting};

/// A baseline's training, cut into the pieces that a client of the federated run would do in a round.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Budget {
    /// Pieces, at least 1.
    pieces: u64,
    /// Local steps of a piece instead of epochs.
    steps: Option<u32>,
    /// Epochs that the job sets for baselines.
    epochs: Option<u32>,
}

impl Budget {
    /// Of a client alone: as many pieces as rounds in which it takes part, on average.
    pub(crate) fn of_client(job: &Job, clients: u32, rounds: u64) -> Self {
        match job.simulation.baseline_epochs {
            Some(epochs) => Self::epochs(epochs),
            None => Self {
                pieces: share_of(rounds, job, clients),
                steps: steps(job),
                epochs: None,
            },
        }
    }

    /// Of all rows in one place. Epochs over all rows cost as much as epochs of all clients; steps are those
    /// of the cohort, one after the other. FedSGD takes one step a round, and so does the pool.
    pub(crate) fn of_pool(job: &Job, clients: u32, rounds: u64) -> Self {
        match (job.simulation.baseline_epochs, steps(job)) {
            (Some(epochs), _) => Self::epochs(epochs),
            (None, None) if job.strategy.kind == StrategyKind::FedSgd => Self {
                pieces: rounds.max(1),
                steps: None,
                epochs: None,
            },
            (None, None) => Self {
                pieces: share_of(rounds, job, clients),
                steps: None,
                epochs: None,
            },
            (None, Some(steps)) => {
                let cohort = (f64::from(clients) * share(job, clients)).round().max(1.0);
                let steps = (f64::from(steps) * cohort).min(f64::from(u32::MAX)) as u32;
                Self {
                    pieces: rounds.max(1),
                    steps: Some(steps),
                    epochs: None,
                }
            }
        }
    }

    fn epochs(epochs: u32) -> Self {
        Self {
            pieces: u64::from(epochs.max(1)),
            steps: None,
            epochs: Some(1),
        }
    }

    /// How long this is, beside what the federated run of so many clients and rounds took.
    pub(crate) fn words(&self, job: &Job, clients: u32, rounds: u64) -> String {
        let pieces = self.pieces;
        if self.epochs.is_none() {
            return match job.strategy.kind {
                StrategyKind::FedSgd => {
                    format!("steps over all its rows: {pieces}; the federation's: {rounds}")
                }
                _ => "learns from as many rows as the federation does".to_owned(),
            };
        }
        let parts = rounds as f64 * share(job, clients);
        let federation = match (job.strategy.kind, job.training.length) {
            (StrategyKind::FedSgd, _) => format!("the federation takes {rounds} steps in all"),
            (_, LocalLength::Epochs(epochs)) => {
                let epochs = rounded(parts * f64::from(epochs));
                format!("the federation's clients do {epochs} on average")
            }
            (_, LocalLength::Steps(steps)) => {
                let steps = rounded(parts * f64::from(steps));
                format!("the federation's clients take {steps} steps on average")
            }
        };
        format!("epochs: {pieces}, set by simulation.baseline_epochs; {federation}")
    }

    /// The plan of each piece; the learning rate's schedule is stretched over all of them.
    pub(crate) fn plans(&self, spec: &RunSpec) -> Vec<Arc<TrainPlan>> {
        (1..=self.pieces)
            .map(|piece| Arc::new(self.plan(spec, piece)))
            .collect()
    }

    fn plan(&self, spec: &RunSpec, piece: u64) -> TrainPlan {
        let round = (piece * spec.rounds)
            .div_ceil(self.pieces)
            .clamp(1, spec.rounds.max(1));
        let plan = spec.strategy.plan_of(round, spec.rounds);
        TrainPlan {
            epochs: self.epochs.unwrap_or(plan.epochs),
            steps: self.steps,
            weighting: Weighting::Uniform,
            ..plan
        }
    }
}

fn steps(job: &Job) -> Option<u32> {
    match (job.strategy.kind, job.training.length) {
        (StrategyKind::FedSgd, _) | (_, LocalLength::Epochs(_)) => None,
        (_, LocalLength::Steps(steps)) => Some(steps),
    }
}

/// To one decimal, which a whole number does without.
fn rounded(number: f64) -> f64 {
    (10.0 * number).round() / 10.0
}

fn share_of(rounds: u64, job: &Job, clients: u32) -> u64 {
    ((rounds as f64 * share(job, clients)).round() as u64).max(1)
}

/// Share of the clients that a round counts.
fn share(job: &Job, clients: u32) -> f64 {
    match (job.cohort.sampling, job.cohort.size) {
        (Sampling::All, _) => 1.0,
        (_, CohortSize::Fraction(fraction)) => fraction,
        (_, CohortSize::Target(target)) => (f64::from(target) / f64::from(clients)).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(more: &str) -> Job {
        let text = format!(
            "name = \"a\"\nrounds = 50\n[data]\nname = \"digits\"\n[model]\nkind = \"softmax\"\n{more}"
        );
        Job::parse(&text).unwrap()
    }

    #[test]
    fn a_client_alone_trains_as_often_as_it_would_take_part() {
        let job = job("[simulation]\nclients = 20\n[cohort]\nfraction = 0.1\n");
        assert_eq!(Budget::of_client(&job, 20, 50).pieces, 5);
        assert_eq!(Budget::of_pool(&job, 20, 50).pieces, 5);
        assert_eq!(Budget::of_client(&job, 20, 1).pieces, 1);
    }

    #[test]
    fn pooled_steps_are_those_of_the_cohort() {
        let job =
            job("[simulation]\nclients = 20\n[cohort]\ntarget = 4\n[training]\nsteps = 100\n");
        let pool = Budget::of_pool(&job, 20, 15);
        assert_eq!((pool.pieces, pool.steps), (15, Some(400)));
        let client = Budget::of_client(&job, 20, 15);
        assert_eq!((client.pieces, client.steps), (3, Some(100)));
    }

    #[test]
    fn a_job_can_set_the_epochs() {
        let job = job("[simulation]\nclients = 20\nbaseline_epochs = 7\n");
        for budget in [
            Budget::of_client(&job, 20, 50),
            Budget::of_pool(&job, 20, 50),
        ] {
            assert_eq!(
                (budget.pieces, budget.steps, budget.epochs),
                (7, None, Some(1))
            );
        }
    }

    #[test]
    fn a_pool_under_fedsgd_takes_as_many_steps_as_the_federation() {
        let job = job("[simulation]\nclients = 20\n[cohort]\nfraction = 0.1\n\
             [strategy]\nkind = \"fed_sgd\"\n");
        assert_eq!(Budget::of_pool(&job, 20, 50).pieces, 50);
        assert_eq!(Budget::of_client(&job, 20, 50).pieces, 5);
    }

    #[test]
    fn the_words_say_when_a_baseline_trains_for_another_time_than_the_federation() {
        let of = |epochs: &str| {
            let job = job(&format!(
                "[simulation]\nclients = 50\n{epochs}\n[cohort]\nfraction = 0.1\n\
                 [training]\nepochs = 1\n"
            ));
            Budget::of_pool(&job, 50, 60).words(&job, 50, 60)
        };
        assert_eq!(of(""), "learns from as many rows as the federation does");
        assert_eq!(
            of("baseline_epochs = 3"),
            "epochs: 3, set by simulation.baseline_epochs; the federation's clients do 6 on average"
        );
    }
}
