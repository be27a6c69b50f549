//! `[simulation]`: the clients, machines and comparisons of a simulation; a deployment ignores it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// What stands in for the world outside: who has which rows, how reachable they are, on how many
/// threads it runs. No part of the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Simulation {
    /// Clients the rows are dealt to, at least 1; `None` for as many as a natural partition finds.
    pub clients: Option<u32>,
    /// How the rows are dealt.
    pub partition: Partition,
    /// Whether a client may end up with no training row.
    pub allow_empty: bool,
    /// Clients with fewer training rows than this are left out.
    pub minimum_rows: u32,
    /// What the federated model is compared with.
    pub baselines: Vec<Baseline>,
    /// Epochs of a baseline's training; `None` for as many as a client would do if it took part in
    /// its share of the rounds.
    pub baseline_epochs: Option<u32>,
    /// Runs, with the seeds `seed`, `seed + 1`, …; at least 1.
    pub seeds: u32,
    /// Threads; `None` for one a core.
    pub threads: Option<u32>,
    /// How reachable and how fast the clients are.
    pub population: Population,
    /// How to start the trainers that the job names, here.
    pub trainers: BTreeMap<String, TrainerSpec>,
}

/// How rows are dealt to clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Partition {
    /// Shuffled and dealt evenly.
    Iid,
    /// For every class, shares drawn from a symmetric Dirichlet distribution (Hsu et al. 2019,
    /// arXiv:1909.06335).
    Dirichlet {
        /// Concentration, above 0: the smaller, the more uneven.
        alpha: f64,
    },
    /// Sizes drawn from a symmetric Dirichlet distribution, classes mixed.
    DirichletQuantity {
        /// Concentration, above 0.
        alpha: f64,
    },
    /// Rows sorted by label and cut into shards, of which each client gets some (McMahan et al.
    /// 2017, section 3).
    Shards {
        /// Shards a client gets, at least 1.
        per_client: u32,
        /// Rows in a shard; `None` for as many as use up all rows.
        size: Option<u32>,
    },
    /// Each client has rows of this many classes only.
    Classes {
        /// Classes a client has, at least 1.
        per_client: u32,
    },
    /// The client of rank r has a size proportional to r^−exponent.
    PowerLaw {
        /// At least 0; 0 is an even deal.
        exponent: f64,
    },
    /// Each client draws its rows at random out of all, whatever the others drew: for more clients than
    /// rows.
    Drawn {
        /// Distinct rows a client has, at least 1.
        rows: u32,
    },
    /// One client for each value of a column, or as the data set says by itself.
    Natural {
        /// The column, which then is `data.client` too; `None` for that, or the data set's own.
        column: Option<String>,
    },
}

/// A comparison that a simulation can make and a deployment cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// Every client alone.
    Local,
    /// All rows in one place.
    Pooled,
}

/// How reachable and how fast simulated clients are, in simulated time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Population {
    /// Probability that a client that was asked does not answer, 0 ≤ p < 1.
    pub dropout: f64,
    /// Median time to an answer, seconds; 0 answers at once.
    pub latency_seconds: f64,
    /// Deviation of the logarithm of that time, at least 0; 0 takes the median always.
    pub latency_spread: f64,
}

/// How to start a worker process that trains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainerSpec {
    /// Program and arguments, at least one word. Not run through a shell.
    pub command: Vec<String>,
    /// Processes kept alive at the same time, at least 1.
    pub workers: u32,
    /// Devices dealt to the workers in turn (`cuda:0`); empty for none.
    pub devices: Vec<String>,
    /// Environment variables set for the process.
    pub environment: BTreeMap<String, String>,
}
