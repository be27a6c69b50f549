//! Every client has rows of a fixed number of classes.
//!
//! "Quantity-based label imbalance", #C = k, of Li et al. 2022 (NIID-Bench, arXiv:2102.02079), section
//! III; classes are handed out in shuffled rounds, so that each belongs to as many clients as the others.

use std::collections::BTreeMap;

use commonweal_core::{SeedRng, shuffle};

use super::{Deal, PartitionError, Partitioner, labels};
use crate::Roster;

/// Clients that have a class share its rows evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassesPerClient {
    /// Classes a client has, at least 1.
    pub per_client: u32,
}

impl Partitioner for ClassesPerClient {
    fn deal(
        &self,
        roster: &Roster,
        rows: &[u32],
        clients: u32,
        rng: &mut SeedRng,
    ) -> Result<Deal, PartitionError> {
        let labels = labels(roster)?;
        let mut by_class: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for &row in rows {
            by_class.entry(labels[row as usize]).or_default().push(row);
        }
        let classes: Vec<u32> = by_class.keys().copied().collect();
        let owners = self.owners(&classes, clients, rng)?;
        let mut by_client = vec![Vec::new(); clients as usize];
        for (class, mut rows) in by_class {
            let owners = &owners[&class];
            if rows.len() < owners.len() {
                let (rows, clients) = (rows.len(), owners.len());
                return Err(PartitionError::ClassTooSmall {
                    class,
                    rows,
                    clients,
                });
            }
            shuffle(rng, &mut rows);
            for (index, &owner) in owners.iter().enumerate() {
                let bound = |index: usize| rows.len() * index / owners.len();
                by_client[owner].extend_from_slice(&rows[bound(index)..bound(index + 1)]);
            }
        }
        Ok(Deal::new(by_client))
    }
}

impl ClassesPerClient {
    /// The clients that own each class.
    fn owners(
        &self,
        classes: &[u32],
        clients: u32,
        rng: &mut SeedRng,
    ) -> Result<BTreeMap<u32, Vec<usize>>, PartitionError> {
        let per_client = self.per_client;
        if per_client == 0 {
            return Err(PartitionError::OutOfRange {
                key: "per_client",
                range: "at least 1",
            });
        }
        if per_client as usize > classes.len() {
            return Err(PartitionError::TooFewClasses {
                per_client,
                classes: classes.len(),
            });
        }
        if u64::from(clients) * u64::from(per_client) < classes.len() as u64 {
            let classes = classes.len();
            return Err(PartitionError::ClassesLeftOver {
                clients,
                per_client,
                classes,
            });
        }
        let mut owners: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut deck: Vec<u32> = Vec::new();
        for client in 0..clients as usize {
            let mut hand: Vec<u32> = Vec::new();
            while hand.len() < per_client as usize {
                match deck.iter().position(|class| !hand.contains(class)) {
                    Some(position) => hand.push(deck.remove(position)),
                    None => {
                        let mut fresh = classes.to_vec();
                        shuffle(rng, &mut fresh);
                        deck.extend(fresh);
                    }
                }
            }
            for class in hand {
                owners.entry(class).or_default().push(client);
            }
        }
        Ok(owners)
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::Seed;

    use super::*;
    use crate::Categories;

    fn deal(per_client: u32, rows: u32, clients: u32) -> Result<Deal, PartitionError> {
        let labels = Categories::numbered((0..rows).map(|row| row % 10).collect(), 10);
        let roster = Roster::new(rows).with_labels(labels.expect("below 10"));
        let all: Vec<u32> = (0..rows).collect();
        let partitioner = ClassesPerClient { per_client };
        partitioner.deal(&roster, &all, clients, &mut Seed::from(1).rng())
    }

    #[test]
    fn every_client_has_exactly_as_many_classes_as_asked_and_no_row_is_left() {
        for (per_client, clients) in [(1, 10), (2, 7), (3, 23), (10, 4)] {
            let deal = deal(per_client, 1000, clients).expect("enough rows");
            for client in 0..clients {
                let mut classes: Vec<u32> = deal.rows(client).iter().map(|row| row % 10).collect();
                classes.sort_unstable();
                classes.dedup();
                assert_eq!(classes.len(), per_client as usize);
            }
            assert_eq!(deal.all(), (0..1000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_cannot_be_dealt_says_why() {
        let left_over = PartitionError::ClassesLeftOver {
            clients: 4,
            per_client: 2,
            classes: 10,
        };
        assert_eq!(deal(2, 100, 4), Err(left_over));
        let too_few = PartitionError::TooFewClasses {
            per_client: 11,
            classes: 10,
        };
        assert_eq!(deal(11, 100, 4), Err(too_few));
        assert!(matches!(
            deal(1, 20, 30),
            Err(PartitionError::ClassTooSmall { rows: 2, .. })
        ));
    }
}
