//! Shares drawn from a Dirichlet distribution: of each class, or of the rows as a whole.
//!
//! By class: Yurochkin et al. 2019, "Bayesian nonparametric federated learning of neural networks"
//! (arXiv:1905.12022), section 4; "distribution-based label imbalance" of Li et al. 2022 (NIID-Bench,
//! arXiv:2102.02079). By size: "quantity skew" there.

use commonweal_core::{SeedRng, shuffle};

use super::shares::{dirichlet, ends};
use super::{Deal, PartitionError, Partitioner, labels};
use crate::Roster;

/// For every class, the clients' shares of its rows are drawn anew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DirichletLabels {
    /// Concentration, above 0: the smaller, the fewer clients share a class.
    pub alpha: f64,
}

/// The clients' shares of all rows are drawn once; classes are mixed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DirichletQuantity {
    /// Concentration, above 0: the smaller, the more uneven the sizes.
    pub alpha: f64,
}

impl Partitioner for DirichletLabels {
    fn deal(
        &self,
        roster: &Roster,
        rows: &[u32],
        clients: u32,
        rng: &mut SeedRng,
    ) -> Result<Deal, PartitionError> {
        expect_concentration(self.alpha)?;
        let labels = labels(roster)?;
        let mut shuffled = rows.to_vec();
        shuffle(rng, &mut shuffled);
        shuffled.sort_by_key(|&row| labels[row as usize]);
        let mut by_client = vec![Vec::new(); clients as usize];
        for class in shuffled.chunk_by(|&a, &b| labels[a as usize] == labels[b as usize]) {
            let mut start = 0;
            let ends = ends(class.len(), &dirichlet(clients as usize, self.alpha, rng));
            for (own, end) in by_client.iter_mut().zip(ends) {
                own.extend_from_slice(&class[start..end]);
                start = end;
            }
        }
        Ok(Deal::new(by_client))
    }
}

impl Partitioner for DirichletQuantity {
    fn deal(
        &self,
        _roster: &Roster,
        rows: &[u32],
        clients: u32,
        rng: &mut SeedRng,
    ) -> Result<Deal, PartitionError> {
        expect_concentration(self.alpha)?;
        let mut shuffled = rows.to_vec();
        shuffle(rng, &mut shuffled);
        let ends = ends(rows.len(), &dirichlet(clients as usize, self.alpha, rng));
        Ok(Deal::cut(shuffled, ends))
    }
}

fn expect_concentration(alpha: f64) -> Result<(), PartitionError> {
    if alpha.is_finite() && alpha > 0.0 {
        Ok(())
    } else {
        Err(PartitionError::OutOfRange {
            key: "alpha",
            range: "a finite number above 0",
        })
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::Seed;

    use super::*;
    use crate::Categories;

    #[test]
    fn a_small_concentration_gives_a_class_to_few_clients_and_a_large_one_to_all() {
        let roster = Roster::new(1000).with_labels(Categories::single("a", 1000));
        let rows: Vec<u32> = (0..1000).collect();
        let largest = |alpha| {
            let deal = DirichletLabels { alpha }.deal(&roster, &rows, 10, &mut Seed::from(1).rng());
            let deal = deal.expect("labelled");
            (0..10).map(|client| deal.rows(client).len()).max()
        };
        assert!(largest(1e-4) > Some(950), "{:?}", largest(1e-4));
        assert!(largest(1e6) < Some(105), "{:?}", largest(1e6));
    }

    #[test]
    fn a_concentration_of_zero_is_refused() {
        let deal = DirichletQuantity { alpha: 0.0 }.deal(
            &Roster::new(1),
            &[0],
            1,
            &mut Seed::from(1).rng(),
        );
        assert!(matches!(
            deal,
            Err(PartitionError::OutOfRange { key: "alpha", .. })
        ));
    }
}
