//! Who has which rows: the partition of a job's simulation.

use commonweal_core::job::{Data, Job};
use commonweal_core::{ClientName, Seed};
use commonweal_data::{LabelCounts, Partition, PartitionError, Source};
use commonweal_disk::partition_table::PartitionTable;
use commonweal_disk::{complete, read_source};

use crate::environment::Environment;
use crate::error::SimulationError;
use crate::result::MOST_CLIENTS;

/// Deals the rows of `source`, which `section` describes, to the clients of `job`.
pub(crate) fn deal(
    job: &Job,
    section: &Data,
    source: &Source,
) -> Result<Partition, PartitionError> {
    Partition::simulated(
        source.roster(),
        &job.simulation,
        section,
        &Seed::from(job.seed),
    )
}

/// The partition that a simulation of `job` would have, before any training.
///
/// # Errors
/// [`SimulationError`]: the data or the partition cannot be had.
pub fn preview_partition(
    job: &Job,
    environment: &Environment,
) -> Result<PartitionTable, SimulationError> {
    let section = complete(&job.data)?;
    let source = read_source(&section, &environment.places)?;
    let partition = deal(job, &section, &source)?;
    let counts = LabelCounts::of(&partition, source.roster(), MOST_CLIENTS);
    Ok(PartitionTable::from(counts))
}

/// Names of the clients that a simulation of `job` would have, in their order.
///
/// # Errors
/// [`SimulationError`]: the data or the partition cannot be had.
pub fn client_names(
    job: &Job,
    environment: &Environment,
) -> Result<Vec<ClientName>, SimulationError> {
    let section = complete(&job.data)?;
    let source = read_source(&section, &environment.places)?;
    let partition = deal(job, &section, &source)?;
    let clients = partition.population().indices();
    Ok(clients.map(|client| partition.name(client)).collect())
}
