//! Who holds which rows in a simulated federation.

mod alone;
mod classes;
mod deal;
mod dirichlet;
mod drawn;
mod iid;
mod label_counts;
mod natural;
mod power_law;
mod shards;
mod shares;
mod simulated;

use std::borrow::Cow;

use commonweal_core::{ClientIndex, ClientName, NameError, Population, PopulationError, SeedRng};

pub use classes::ClassesPerClient;
pub use deal::Deal;
pub use dirichlet::{DirichletLabels, DirichletQuantity};
pub use drawn::Drawn;
pub use iid::Iid;
pub use label_counts::LabelCounts;
pub use power_law::PowerLaw;
pub use shards::Shards;

use crate::Roster;

/// Deals rows to numbered clients.
///
/// A hole that a user fills: another rule is another implementation.
pub trait Partitioner: std::fmt::Debug {
    /// Deals `rows` to `clients` clients, at least one, each row to at most one. Equal arguments, the state of `rng`
    /// included, give equal deals. A client may get nothing: whoever must not have such clients
    /// calls [`Deal::fill_empty`].
    ///
    /// # Errors
    /// [`PartitionError`] if the rule cannot be kept with these rows.
    fn deal(
        &self,
        roster: &Roster,
        rows: &[u32],
        clients: u32,
        rng: &mut SeedRng,
    ) -> Result<Deal, PartitionError>;
}

/// The clients of a simulation, with the rows that each learns from and is tested on.
///
/// Costs four bytes a row and eight a client; drawn rows cost nothing until they are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Partition {
    population: Population,
    train: TrainingRows,
    test: Deal,
    validation: Option<Deal>,
}

#[derive(Debug, Clone, PartialEq)]
enum TrainingRows {
    Dealt(Deal),
    Drawn(Drawn),
}

/// Why rows cannot be dealt as asked. Says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// Nobody to deal to.
    #[error("say how many clients there are: simulation.clients = 20")]
    NoClients,
    /// No row to deal.
    #[error("there are no rows to deal; data.test leaves none for training")]
    NoRows,
    /// More clients than rows.
    #[error(
        "{clients} clients cannot each have one of {rows} training rows; lower simulation.clients to at \
         most {rows}, set simulation.allow_empty = true, or let rows repeat among clients: \
         partition = {{ kind = \"drawn\", rows = 10 }}"
    )]
    MoreClientsThanRows {
        /// Clients asked for.
        clients: u32,
        /// Rows to deal.
        rows: usize,
    },
    /// More shards than rows.
    #[error(
        "{clients} clients × {per_client} shards are more than {rows} training rows; lower \
         simulation.clients or partition.per_client"
    )]
    MoreShardsThanRows {
        /// Clients asked for.
        clients: u32,
        /// Shards a client.
        per_client: u32,
        /// Rows to deal.
        rows: usize,
    },
    /// Shards of a size that the rows do not fill.
    #[error(
        "{shards} shards of {size} rows need {} training rows, there are {rows}; lower \
         simulation.clients or partition.size, or leave partition.size out to use up all rows",
        u64::from(*shards) * u64::from(*size)
    )]
    ShardsTooLarge {
        /// Shards in all.
        shards: u32,
        /// Rows a shard.
        size: u32,
        /// Rows to deal.
        rows: usize,
    },
    /// More classes a client than there are.
    #[error("partition.per_client is {per_client}, and the training rows have {classes} classes")]
    TooFewClasses {
        /// Classes a client.
        per_client: u32,
        /// Classes that occur.
        classes: usize,
    },
    /// Some class would belong to nobody.
    #[error(
        "{clients} clients with {per_client} classes each cannot hold all {classes} classes; raise \
         simulation.clients or partition.per_client"
    )]
    ClassesLeftOver {
        /// Clients asked for.
        clients: u32,
        /// Classes a client.
        per_client: u32,
        /// Classes that occur.
        classes: usize,
    },
    /// A class has fewer rows than clients that are to share it.
    #[error(
        "class number {class} has {rows} training rows for {clients} clients; lower \
         simulation.clients or partition.per_client"
    )]
    ClassTooSmall {
        /// Number of the class.
        class: u32,
        /// Its rows.
        rows: usize,
        /// Clients that are to share it.
        clients: usize,
    },
    /// The rule goes by class, and the target is none.
    #[error(
        "a partition by class needs a label that is a class; use partition = {{ kind = \"iid\" }} or \
         \"dirichlet_quantity\""
    )]
    NoLabels,
    /// The data say nothing of clients.
    #[error(
        "say how many clients the rows are dealt to: simulation.clients = 20; or, for a natural partition, which \
         column names the client of each row: data.client = \"COLUMN\""
    )]
    NoNaturalClients,
    /// Fewer natural clients than asked for.
    #[error(
        "simulation.clients is {wanted}, and {found} natural clients have enough training rows; lower \
         simulation.clients, or leave it out to use all"
    )]
    TooFewNaturalClients {
        /// Clients asked for.
        wanted: u32,
        /// Clients found.
        found: usize,
    },
    /// No client has as many rows as asked for.
    #[error("no client has {minimum} training rows; lower simulation.minimum_rows")]
    NobodyLeft {
        /// Smallest number of rows asked for.
        minimum: u32,
    },
    /// Each client draws more rows than there are.
    #[error("a client cannot draw {wanted} of {rows} training rows; lower partition.rows")]
    DrawTooLarge {
        /// Rows a client.
        wanted: u32,
        /// Rows there.
        rows: usize,
    },
    /// A number of the rule is out of its range.
    #[error("partition.{key} must be {range}")]
    OutOfRange {
        /// Key of the job.
        key: &'static str,
        /// What is allowed.
        range: &'static str,
    },
    /// A natural client has no fit name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The clients make no population.
    #[error(transparent)]
    Population(#[from] PopulationError),
}

impl Partition {
    /// The clients, in byte order of their names.
    pub fn population(&self) -> &Population {
        &self.population
    }

    /// Number of clients.
    pub fn clients(&self) -> u32 {
        self.population.clients()
    }

    /// The name of a client.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn name(&self, client: ClientIndex) -> ClientName {
        let name = self.population.name(client);
        name.unwrap_or_else(|| panic!("client {} of {}", client.0, self.clients()))
    }

    /// Rows to learn from, ascending. Owned only where rows are drawn.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn train(&self, client: ClientIndex) -> Cow<'_, [u32]> {
        match &self.train {
            TrainingRows::Dealt(deal) => Cow::Borrowed(deal.rows(client.0)),
            TrainingRows::Drawn(drawn) => Cow::Owned(drawn.rows(client.0)),
        }
    }

    /// Number of rows to learn from. Costs no draw.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn train_len(&self, client: ClientIndex) -> usize {
        match &self.train {
            TrainingRows::Dealt(deal) => deal.rows(client.0).len(),
            TrainingRows::Drawn(drawn) => drawn.rows_each(),
        }
    }

    /// Rows to be tested on, ascending. Some clients may have none.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn test(&self, client: ClientIndex) -> &[u32] {
        self.test.rows(client.0)
    }

    /// Rows that nobody trains on, to choose among models by; ascending. None unless the job holds them out.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn validation(&self, client: ClientIndex) -> &[u32] {
        self.validation
            .as_ref()
            .map_or(&[], |deal| deal.rows(client.0))
    }

    /// Rows held out of training for either purpose: those of [`Self::test`], then those of
    /// [`Self::validation`].
    ///
    /// # Panics
    /// If there is no such client.
    pub fn held_out(&self, client: ClientIndex) -> Cow<'_, [u32]> {
        match self.validation(client) {
            [] => Cow::Borrowed(self.test(client)),
            validation => Cow::Owned([self.test(client), validation].concat()),
        }
    }

    /// Row numbers of all clients' training rows, each once, ascending.
    pub fn all_train(&self) -> Vec<u32> {
        match &self.train {
            TrainingRows::Dealt(deal) => deal.all(),
            TrainingRows::Drawn(drawn) => drawn.pool().to_vec(),
        }
    }

    /// Row numbers of all clients' test rows, ascending.
    pub fn all_test(&self) -> Vec<u32> {
        self.test.all()
    }
}

/// The class of each row, for the rules that go by class.
fn labels(roster: &Roster) -> Result<&[u32], PartitionError> {
    roster
        .labels()
        .map(crate::Categories::codes)
        .ok_or(PartitionError::NoLabels)
}
