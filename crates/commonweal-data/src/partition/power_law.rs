//! Sizes that fall as a power of the client's rank: few clients with much, many with little.

use commonweal_core::{SeedRng, shuffle};

use super::shares::ends;
use super::{Deal, PartitionError, Partitioner};
use crate::Roster;

/// Client number `r`, counted from 1, has a size proportional to `r^−exponent`; classes are mixed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerLaw {
    /// At least 0; 0 is an even deal.
    pub exponent: f64,
}

impl Partitioner for PowerLaw {
    fn deal(
        &self,
        _roster: &Roster,
        rows: &[u32],
        clients: u32,
        rng: &mut SeedRng,
    ) -> Result<Deal, PartitionError> {
        if !self.exponent.is_finite() || self.exponent < 0.0 {
            let range = "a finite number of at least 0";
            return Err(PartitionError::OutOfRange {
                key: "exponent",
                range,
            });
        }
        let mut shuffled = rows.to_vec();
        shuffle(rng, &mut shuffled);
        let sizes: Vec<f64> = (1..=clients)
            .map(|rank| libm::pow(f64::from(rank), -self.exponent))
            .collect();
        let total: f64 = sizes.iter().sum();
        let shares: Vec<f64> = sizes.iter().map(|size| size / total).collect();
        Ok(Deal::cut(shuffled, ends(rows.len(), &shares)))
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::Seed;

    use super::*;

    #[test]
    fn sizes_fall_as_the_exponent_says() {
        let rows: Vec<u32> = (0..1100).collect();
        let deal =
            PowerLaw { exponent: 1.0 }.deal(&Roster::new(1100), &rows, 3, &mut Seed::from(1).rng());
        let deal = deal.expect("a sound exponent");
        let sizes: Vec<usize> = (0..3).map(|client| deal.rows(client).len()).collect();
        assert_eq!(sizes, [600, 300, 200]);
    }
}
