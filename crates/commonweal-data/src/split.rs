//! Which rows are held out: for testing, or for choosing among models. Fixed before any row is dealt,
//! scaled or cut further.

use std::collections::BTreeMap;

use commonweal_core::job::Data;
use commonweal_core::{ClientName, Seed, SeedRng, below, shuffle};

use crate::Roster;

/// How rows are held out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HoldOut {
    /// Share of the rows (of the groups, where the roster has groups), 0 ≤ share < 1.
    pub fraction: f64,
    /// Whether the classes keep their shares.
    pub stratify: bool,
    /// Whether each natural client gives its own share, and not all rows together.
    pub by_client: bool,
}

/// Two sets of rows that have nothing in common, no group either. Both ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Rows to learn from.
    pub train: Vec<u32>,
    /// Rows held out.
    pub test: Vec<u32>,
}

impl Split {
    /// Splits all rows of a roster. Where the data set has a test file of its own, that is the test
    /// set, and `hold_out` is not used.
    pub fn of(
        roster: &Roster,
        hold_out: HoldOut,
        seed: impl Fn(Option<&ClientName>) -> Seed,
    ) -> Self {
        let own = roster.own_test();
        if own.is_empty() {
            let rows: Vec<u32> = (0..roster.rows()).collect();
            return hold_out.split(roster, &rows, seed);
        }
        let train = (0..roster.rows()).filter(|row| own.binary_search(row).is_err());
        Self {
            train: train.collect(),
            test: own.to_vec(),
        }
    }
}

impl HoldOut {
    /// What a job's `[data]` holds out for testing: a fifth if it does not say.
    pub fn of(data: &Data, by_client: bool) -> Self {
        Self {
            fraction: data.test.unwrap_or(0.2),
            stratify: data.stratify,
            by_client,
        }
    }

    /// Splits `rows`. `seed` gives the seed of each client's rows, so that they are split alike whoever
    /// else there is; of no client, that of all rows together, and that of a client whose name is none.
    ///
    /// The unit is a row, or all rows of a group. Of `n` units `⌈fraction · n⌉` are held out, as
    /// scikit-learn's `train_test_split` rounds, but at least one stays; a group counts for the client and
    /// the class of most of its rows. Stratified units are sorted by class and held out at equal
    /// distances, so that each class is off by less than one unit.
    pub fn split(
        &self,
        roster: &Roster,
        rows: &[u32],
        seed: impl Fn(Option<&ClientName>) -> Seed,
    ) -> Split {
        let clients = roster.clients().filter(|_| self.by_client);
        let mut split = Split::default();
        for (client, mut units) in self.units_by_client(roster, rows) {
            let name = clients.and_then(|clients| clients.names().get(client as usize));
            let name = name.and_then(|name| ClientName::try_from(&**name).ok());
            let mut rng = seed(name.as_ref()).rng();
            shuffle(&mut rng, &mut units);
            if self.stratify {
                units.sort_by_key(|unit| unit.class);
            }
            let held = self.held(units.len(), &mut rng);
            for (index, unit) in units.into_iter().enumerate() {
                let side = if held.binary_search(&index).is_ok() {
                    &mut split.test
                } else {
                    &mut split.train
                };
                side.extend(unit.rows);
            }
        }
        split.train.sort_unstable();
        split.test.sort_unstable();
        split
    }

    /// Positions, ascending, of the units held out of `units`.
    fn held(&self, units: usize, rng: &mut SeedRng) -> Vec<usize> {
        // A product that should be whole may come out a little above, as 0.07 · 100 does.
        let wanted = (self.fraction * units as f64 - 1e-9).ceil().max(0.0) as usize;
        let wanted = wanted.min(units.saturating_sub(1)) as u64;
        if wanted == 0 {
            return Vec::new();
        }
        let start = below(rng, units as u64);
        (0..wanted)
            .map(|index| ((index * units as u64 + start) / wanted) as usize)
            .collect()
    }

    fn units_by_client(&self, roster: &Roster, rows: &[u32]) -> BTreeMap<u32, Vec<Unit>> {
        let code = |of: Option<&crate::Categories>, row: u32| {
            of.map_or(0, |column| column.codes()[row as usize])
        };
        let clients = roster.clients().filter(|_| self.by_client);
        let mut by_client: BTreeMap<u32, Vec<Unit>> = BTreeMap::new();
        let mut add = |rows: Vec<u32>| {
            let client = most_frequent(rows.iter().map(|&row| code(clients, row)));
            let class = most_frequent(rows.iter().map(|&row| code(roster.labels(), row)));
            by_client
                .entry(client)
                .or_default()
                .push(Unit { class, rows });
        };
        match roster.groups() {
            None => rows.iter().for_each(|&row| add(vec![row])),
            Some(groups) => {
                let mut by_group: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
                for &row in rows {
                    by_group
                        .entry(groups.codes()[row as usize])
                        .or_default()
                        .push(row);
                }
                by_group.into_values().for_each(add);
            }
        }
        by_client
    }
}

/// Rows that stay together.
struct Unit {
    class: u32,
    rows: Vec<u32>,
}

/// The value that occurs most often, the smallest of equals; 0 of nothing.
fn most_frequent(values: impl Iterator<Item = u32>) -> u32 {
    let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    let best = counts
        .into_iter()
        .max_by_key(|&(value, count)| (count, std::cmp::Reverse(value)));
    best.map_or(0, |(value, _)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Categories;

    fn hold_out(fraction: f64) -> HoldOut {
        HoldOut {
            fraction,
            stratify: true,
            by_client: true,
        }
    }

    fn roster(labels: &[u32], clients: &[u32]) -> Roster {
        let texts = |codes: &[u32]| codes.iter().map(u32::to_string).collect::<Vec<_>>();
        let column = |codes| Categories::of(texts(codes).iter().map(String::as_str));
        Roster::new(labels.len() as u32)
            .with_labels(column(labels))
            .with_clients(column(clients))
    }

    #[test]
    fn sizes_round_up_as_flambys_hospitals_do() {
        // Provenance: FLamby, Fed-Heart-Disease: train/test rows per hospital.
        for (rows, train) in [(303, 199), (261, 172), (46, 30), (130, 85)] {
            let split = Split::of(
                &roster(&vec![0; rows], &vec![0; rows]),
                hold_out(0.34),
                |_| 1.into(),
            );
            assert_eq!((split.train.len(), split.test.len()), (train, rows - train));
        }
    }

    #[test]
    fn a_client_with_one_row_keeps_it_to_learn_from() {
        let split = Split::of(&roster(&[0, 1], &[0, 1]), hold_out(0.9), |_| 1.into());
        assert_eq!(
            split,
            Split {
                train: vec![0, 1],
                test: vec![]
            }
        );
    }

    #[test]
    fn a_test_file_is_the_test_set() {
        let train = roster(&[0, 1, 1], &[0, 0, 0]);
        let both = train.then_test(&roster(&[0, 1], &[0, 0]));
        let split = Split::of(&both, hold_out(0.5), |_| 1.into());
        assert_eq!(
            split,
            Split {
                train: vec![0, 1, 2],
                test: vec![3, 4]
            }
        );
    }

    #[test]
    fn another_seed_holds_out_other_rows() {
        let roster = roster(&[0; 100], &[0; 100]);
        let of = |seed: u64| Split::of(&roster, hold_out(0.2), |_| seed.into());
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    proptest! {
        #[test]
        fn every_row_is_on_one_side_and_every_class_keeps_its_share(
            labels in proptest::collection::vec(0_u32..4, 2..200),
            percent in 0_u32..100,
            seed in any::<u64>(),
        ) {
            let roster = roster(&labels, &vec![0; labels.len()]);
            let fraction = f64::from(percent) / 100.0;
            let split = Split::of(&roster, hold_out(fraction), |_| seed.into());
            let mut all = [split.train.clone(), split.test.clone()].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..labels.len() as u32).collect::<Vec<_>>());
            let held = split.test.len() as f64 / labels.len() as f64;
            for class in 0..4 {
                let of = |rows: &[u32]| rows.iter().filter(|&&row| labels[row as usize] == class).count();
                let expected = held * (of(&split.train) + of(&split.test)) as f64;
                prop_assert!((of(&split.test) as f64 - expected).abs() <= 1.0);
            }
        }

        #[test]
        fn no_group_is_on_both_sides(
            groups in proptest::collection::vec(0_u32..12, 1..100),
            seed in any::<u64>(),
        ) {
            let clients: Vec<u32> = (0..groups.len() as u32).map(|row| row % 3).collect();
            let texts: Vec<String> = groups.iter().map(u32::to_string).collect();
            let column = Categories::of(texts.iter().map(String::as_str));
            let roster = roster(&groups, &clients).with_groups(column);
            let split = Split::of(&roster, hold_out(0.3), |_| seed.into());
            for row in &split.test {
                let group = groups[*row as usize];
                prop_assert!(split.train.iter().all(|&other| groups[other as usize] != group));
            }
        }
    }
}
