//! The partition of a job's simulation, to be looked at.

use commonweal_core::job::Job;
use commonweal_data::LabelCounts;
use commonweal_disk::partition_table::PartitionTable;
use commonweal_disk::{complete, deal, read_source};

use crate::environment::Environment;
use crate::error::SimulationError;
use crate::result::MOST_CLIENTS;

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
