//! Rows shuffled and dealt evenly: every client is a sample of the whole.

use commonweal_core::{SeedRng, shuffle};

use super::{Deal, PartitionError, Partitioner};
use crate::Roster;

/// Sizes differ by at most one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Iid;

impl Partitioner for Iid {
    fn deal(
        &self,
        _roster: &Roster,
        rows: &[u32],
        clients: u32,
        rng: &mut SeedRng,
    ) -> Result<Deal, PartitionError> {
        let mut shuffled = rows.to_vec();
        shuffle(rng, &mut shuffled);
        let clients = u64::from(clients);
        let ends = (1..=clients).map(|client| (rows.len() as u64 * client / clients) as usize);
        Ok(Deal::cut(shuffled, ends))
    }
}
