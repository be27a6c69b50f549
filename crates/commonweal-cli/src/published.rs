//! The published results that can be rerun, with their exact settings.
//!
//! The settings are job files in `published/`; what the job's `[stop]` says is the target.

use std::fmt;

/// One published result.
#[derive(Debug)]
pub struct Published {
    /// Its name on the command line.
    pub name: &'static str,
    /// What was trained, in a line.
    pub about: &'static str,
    /// Where it was published.
    pub source: &'static str,
    /// The settings.
    pub job: &'static str,
    /// Learning rates that are tried; the best counts, as in the papers. Empty keeps the job's.
    pub learning_rates: &'static [f64],
    /// What the paper says, and what counts as reproduced.
    pub result: PublishedResult,
}

/// What a paper reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PublishedResult {
    /// Rounds until the target is reached.
    Rounds {
        /// The paper's number.
        paper: u64,
        /// Most rounds that count as reproduced.
        at_most: u64,
    },
    /// The value of the job's metric after the last round, over several seeds.
    Value {
        /// The paper's mean.
        paper: f64,
        /// The paper's deviation: our mean must be within it, or better.
        spread: f64,
    },
}

impl PublishedResult {
    /// The paper's number.
    #[must_use]
    pub fn paper(self) -> f64 {
        match self {
            Self::Rounds { paper, .. } => paper as f64,
            Self::Value { paper, .. } => paper,
        }
    }

    /// The last number that counts as reproduced.
    #[must_use]
    pub fn limit(self) -> f64 {
        match self {
            Self::Rounds { at_most, .. } => at_most as f64,
            Self::Value { paper, spread } => paper - spread,
        }
    }

    /// Whether `ours` counts as reproduced: as good as the limit, or better.
    #[must_use]
    pub fn is_met(self, ours: f64) -> bool {
        match self {
            Self::Rounds { .. } => ours <= self.limit(),
            Self::Value { .. } => ours >= self.limit(),
        }
    }

    /// Whether fewer is better.
    #[must_use]
    pub fn is_rounds(self) -> bool {
        matches!(self, Self::Rounds { .. })
    }

    /// What the number counts.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Rounds { .. } => "rounds",
            Self::Value { .. } => "accuracy",
        }
    }
}

impl fmt::Display for PublishedResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rounds { paper, at_most } if paper == at_most => write!(f, "{paper} rounds"),
            Self::Rounds { paper, at_most } => {
                write!(f, "{paper} rounds; up to {at_most} count")
            }
            Self::Value { paper, spread } => write!(f, "{paper} ± {spread}"),
        }
    }
}

const MCMAHAN: &str = "McMahan et al. 2017, arXiv:1602.05629";

/// All of them.
pub const PUBLISHED: &[Published] = &[
    Published {
        name: "fedavg-2nn-iid",
        about: "MNIST, 2NN, 100 IID clients, C = 0.1, E = 1, B = 10: rounds to 97 %",
        source: MCMAHAN,
        job: include_str!("published/fedavg-2nn-iid.toml"),
        learning_rates: &[0.1, 0.2, 0.05],
        result: PublishedResult::Rounds {
            paper: 87,
            at_most: 87,
        },
    },
    Published {
        name: "fedavg-2nn-noniid",
        about: "MNIST, 2NN, two shards a client, C = 0.1, E = 1, B = 10: rounds to 97 %",
        source: MCMAHAN,
        job: include_str!("published/fedavg-2nn-noniid.toml"),
        learning_rates: &[0.05, 0.1],
        result: PublishedResult::Rounds {
            paper: 664,
            at_most: 664,
        },
    },
    Published {
        name: "fedavg-cnn-iid",
        about: "MNIST, CNN, 100 IID clients, C = 0.1, E = 5, B = 10: rounds to 99 %",
        source: MCMAHAN,
        job: include_str!("published/fedavg-cnn-iid.toml"),
        learning_rates: &[0.1, 0.05],
        // The literature's own spread around the paper's 20 is 40 %.
        result: PublishedResult::Rounds {
            paper: 20,
            at_most: 28,
        },
    },
    Published {
        name: "flamby-heart",
        about: "heart disease, 4 hospitals, logistic regression, 15 rounds of 100 steps: accuracy",
        source: "Ogier du Terrail et al., FLamby, NeurIPS 2022",
        job: include_str!("published/flamby-heart.toml"),
        learning_rates: &[],
        result: PublishedResult::Value {
            paper: 0.748,
            spread: 0.027,
        },
    },
];

#[cfg(test)]
mod tests {
    use commonweal_core::job::Job;

    use super::*;

    #[test]
    fn every_job_is_valid_and_named_as_its_result() {
        for published in PUBLISHED {
            let job = Job::parse(published.job).unwrap();
            assert_eq!(job.name, published.name);
            let rounds = matches!(published.result, PublishedResult::Rounds { .. });
            assert_eq!(job.stop.is_some(), rounds, "{}", published.name);
        }
    }
}
