//! Rows sorted by class and cut into shards, of which each client gets some.
//!
//! McMahan et al. 2017, "Communication-efficient learning of deep networks from decentralized data"
//! (arXiv:1602.05629), section 3: 200 shards of 300 rows, two a client.

use commonweal_core::{SeedRng, shuffle};

use super::{Deal, PartitionError, Partitioner, labels};
use crate::Roster;

/// Most clients have rows of `per_client` classes only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shards {
    /// Shards a client gets, at least 1.
    pub per_client: u32,
    /// Rows a shard; `None` uses up all rows. With a size, rows beyond the last shard belong to nobody.
    pub size: Option<u32>,
}

impl Partitioner for Shards {
    fn deal(
        &self,
        roster: &Roster,
        rows: &[u32],
        clients: u32,
        rng: &mut SeedRng,
    ) -> Result<Deal, PartitionError> {
        let labels = labels(roster)?;
        let shards = self.shards(rows.len(), clients)?;
        let mut sorted = rows.to_vec();
        shuffle(rng, &mut sorted);
        sorted.sort_by_key(|&row| labels[row as usize]);
        let start = |shard: u32| match self.size {
            Some(size) => shard as usize * size as usize,
            None => (rows.len() as u64 * u64::from(shard) / u64::from(shards)) as usize,
        };
        let mut order: Vec<u32> = (0..shards).collect();
        shuffle(rng, &mut order);
        let hands = order.chunks_exact(self.per_client as usize);
        Ok(Deal::new(hands.map(|hand| {
            hand.iter()
                .flat_map(|&shard| &sorted[start(shard)..start(shard + 1)])
                .copied()
                .collect()
        })))
    }
}

impl Shards {
    fn shards(&self, rows: usize, clients: u32) -> Result<u32, PartitionError> {
        let per_client = self.per_client;
        if per_client == 0 || self.size == Some(0) {
            let key = if per_client == 0 {
                "per_client"
            } else {
                "size"
            };
            return Err(PartitionError::OutOfRange {
                key,
                range: "at least 1",
            });
        }
        let shards = clients
            .checked_mul(per_client)
            .filter(|&shards| shards as usize <= rows);
        let shards = shards.ok_or(PartitionError::MoreShardsThanRows {
            clients,
            per_client,
            rows,
        })?;
        match self.size {
            Some(size) if u64::from(shards) * u64::from(size) > rows as u64 => {
                Err(PartitionError::ShardsTooLarge { shards, size, rows })
            }
            _ => Ok(shards),
        }
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::Seed;

    use super::*;
    use crate::Categories;

    fn deal(shards: Shards, rows: u32, clients: u32) -> Result<Deal, PartitionError> {
        let labels = Categories::numbered((0..rows).map(|row| row % 10).collect(), 10);
        let roster = Roster::new(rows).with_labels(labels.expect("below 10"));
        let all: Vec<u32> = (0..rows).collect();
        shards.deal(&roster, &all, clients, &mut Seed::from(1).rng())
    }

    #[test]
    fn the_papers_clients_have_two_shards_of_at_most_two_classes() {
        let shards = Shards {
            per_client: 2,
            size: Some(30),
        };
        let deal = deal(shards, 6000, 100).expect("200 shards of 30");
        for client in 0..100 {
            let mut classes: Vec<u32> = deal.rows(client).iter().map(|row| row % 10).collect();
            classes.sort_unstable();
            classes.dedup();
            assert_eq!(deal.rows(client).len(), 60);
            assert!(classes.len() <= 2, "{classes:?}");
        }
    }

    #[test]
    fn more_shards_than_rows_are_refused() {
        let shards = Shards {
            per_client: 2,
            size: None,
        };
        assert_eq!(
            deal(shards, 199, 100),
            Err(PartitionError::MoreShardsThanRows {
                clients: 100,
                per_client: 2,
                rows: 199
            })
        );
        let sized = Shards {
            per_client: 2,
            size: Some(300),
        };
        assert_eq!(
            deal(sized, 48_000, 100),
            Err(PartitionError::ShardsTooLarge {
                shards: 200,
                size: 300,
                rows: 48_000
            })
        );
    }
}
