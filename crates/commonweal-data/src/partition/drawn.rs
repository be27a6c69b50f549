//! Virtual clients that each draw rows from the whole, whatever the others drew.
//!
//! For populations larger than the data: a million clients cost nothing until one is asked for its rows.

use std::collections::BTreeSet;

use commonweal_core::{Purpose, Seed, below};

use super::PartitionError;

/// Each client has `rows` distinct rows of the pool, drawn by its own seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    pool: Vec<u32>,
    rows: u32,
    seed: Seed,
}

impl Drawn {
    /// Clients of `rows` rows each out of `pool`, which is put into ascending order.
    ///
    /// # Errors
    /// [`PartitionError::DrawTooLarge`] if the pool has fewer rows, [`PartitionError::OutOfRange`] for
    /// no rows at all.
    pub fn new(mut pool: Vec<u32>, rows: u32, seed: Seed) -> Result<Self, PartitionError> {
        if rows == 0 {
            return Err(PartitionError::OutOfRange {
                key: "rows",
                range: "at least 1",
            });
        }
        if rows as usize > pool.len() {
            return Err(PartitionError::DrawTooLarge {
                wanted: rows,
                rows: pool.len(),
            });
        }
        pool.sort_unstable();
        Ok(Self { pool, rows, seed })
    }

    /// The rows of one client, ascending. Costs `rows · log(rows)`.
    ///
    /// Floyd's sampling without replacement: Bentley and Floyd 1987, "A sample of brilliance".
    pub fn rows(&self, client: u32) -> Vec<u32> {
        let mut rng = self
            .seed
            .derive(Purpose::Partition, u64::from(client), None)
            .rng();
        let mut positions = BTreeSet::new();
        let pool = self.pool.len() as u64;
        for last in pool - u64::from(self.rows)..pool {
            let position = below(&mut rng, last + 1);
            if !positions.insert(position) {
                positions.insert(last);
            }
        }
        positions
            .into_iter()
            .map(|position| self.pool[position as usize])
            .collect()
    }

    /// Rows of each client.
    pub fn rows_each(&self) -> usize {
        self.rows as usize
    }

    /// The rows that clients draw from, ascending.
    pub fn pool(&self) -> &[u32] {
        &self.pool
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_draws_distinct_rows_and_the_same_ones_again() {
        let drawn = Drawn::new((10..20).rev().collect(), 10, Seed::from(1)).expect("enough rows");
        assert_eq!(drawn.rows(7), (10..20).collect::<Vec<_>>());
        let drawn = Drawn::new((0..1000).collect(), 5, Seed::from(1)).expect("enough rows");
        assert_eq!(drawn.rows(3), drawn.rows(3));
        assert_ne!(drawn.rows(3), drawn.rows(4));
        assert_eq!(drawn.rows(999_999).len(), 5);
    }

    #[test]
    fn more_rows_than_there_are_cannot_be_drawn() {
        let refused = Drawn::new(vec![0, 1], 3, Seed::from(1));
        assert_eq!(
            refused,
            Err(PartitionError::DrawTooLarge { wanted: 3, rows: 2 })
        );
    }
}
