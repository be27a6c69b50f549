//! Who has which rows in a simulation of a job, and one client's rows without those of the others.

use commonweal_core::job::{Data, Job};
use commonweal_core::{ClientName, Seed};
use commonweal_data::{Partition, PartitionError, Source};

use crate::source::{DataPlaces, SourceError, complete, read_source};

/// One client of a simulated federation, for a process that is to know its rows only.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// Its rows, in the order of the federation.
    pub source: Source,
    /// The client alone, with the parts of its rows that the simulation trains and tests it on.
    pub partition: Partition,
}

/// Why there is no share.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The data cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The rows cannot be dealt.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// No client has that name.
    #[error("the job has no client {client}: its {clients} clients are {first} to {last}, by name")]
    NoSuchClient {
        /// What was asked for.
        client: ClientName,
        /// How many there are.
        clients: u32,
        /// The first in byte order.
        first: String,
        /// The last.
        last: String,
    },
}

/// Deals the rows of `source`, which `section` describes, to the clients of `job`.
///
/// # Errors
/// [`PartitionError`].
pub fn deal(job: &Job, section: &Data, source: &Source) -> Result<Partition, PartitionError> {
    Partition::simulated(
        source.roster(),
        &job.simulation,
        section,
        &Seed::from(job.seed),
    )
}

/// The rows that a simulation of `job` deals to `client`. Reads the whole data set.
///
/// # Errors
/// [`ShareError`].
pub fn share(job: &Job, client: &ClientName, places: &DataPlaces) -> Result<Share, ShareError> {
    let section = complete(&job.data)?;
    let source = read_source(&section, places)?;
    let partition = deal(job, &section, &source)?;
    let population = partition.population();
    let Some(index) = population.index(client) else {
        let mut names = population
            .indices()
            .filter_map(|index| population.name(index));
        let first = names.next().map_or(String::new(), String::from);
        let last = names.last().map_or(first.clone(), String::from);
        return Err(ShareError::NoSuchClient {
            client: client.clone(),
            clients: population.clients(),
            first,
            last,
        });
    };
    let (rows, partition) = partition.of_client(index);
    Ok(Share {
        source: source.select(&rows),
        partition,
    })
}
