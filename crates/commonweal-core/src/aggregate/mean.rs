//! The weighted mean: FederatedAveraging of McMahan, Moore, Ramage, Hampson and Agüera y Arcas 2017,
//! "Communication-Efficient Learning of Deep Networks from Decentralized Data" (arXiv:1602.05629), algorithm 1.

use commonweal_kernels::fold::{fold, merge};

use super::{Aggregator, GridUpdate, Partial, Sum};

/// Σ weight × update / Σ weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mean;

/// Coordinates whose sums stay in the first-level cache while several updates are added.
const BLOCK: usize = 2048;

impl Aggregator for Mean {
    fn accumulate(&self, partial: &mut Partial, update: GridUpdate<'_>) {
        fold(&mut partial.sum, update.bytes(), update.weight());
        partial.weight += u64::from(update.weight());
        partial.clients += 1;
    }

    fn accumulate_all(&self, partial: &mut Partial, updates: &[GridUpdate<'_>]) {
        for (block, sum) in partial.sum.chunks_mut(BLOCK).enumerate() {
            let start = 4 * BLOCK * block;
            for update in updates {
                let bytes = &update.bytes()[start..start + 4 * sum.len()];
                fold(sum, bytes, update.weight());
            }
        }
        partial.weight += updates
            .iter()
            .map(|update| u64::from(update.weight()))
            .sum::<u64>();
        partial.clients += updates.len() as u32;
    }

    fn merge(&self, partial: &mut Partial, other: &Partial) {
        merge(&mut partial.sum, &other.sum);
        partial.weight += other.weight;
        partial.clients += other.clients;
    }

    fn report(&self, partial: Partial) -> Sum {
        Sum {
            values: partial.sum,
            denominator: partial.weight,
        }
    }
}
