//! From a job's `[simulation]` to a partition: split, deal, let the test rows follow.

use commonweal_core::job::{self, Data, Simulation};
use commonweal_core::{ClientName, Population, Purpose, Seed, shuffle};

use super::natural::natural;
use super::{
    ClassesPerClient, Deal, DirichletLabels, DirichletQuantity, Drawn, Iid, Partition,
    PartitionError, Partitioner, PowerLaw, Shards, TrainingRows,
};
use crate::{HoldOut, Roster, Split};

impl Partition {
    /// The clients of a simulation of `roster`'s rows, of which `data` says how many are for testing; a
    /// fifth if it does not.
    ///
    /// Test rows are fixed first, then the share `data.validation` of the others is held out: by natural
    /// client where the partition is natural, each with a seed of its own, otherwise of all rows together.
    ///
    /// # Errors
    /// [`PartitionError`], which says what to change.
    pub fn simulated(
        roster: &Roster,
        simulation: &Simulation,
        data: &Data,
        root: &Seed,
    ) -> Result<Self, PartitionError> {
        let is_natural = matches!(simulation.partition, job::Partition::Natural { .. });
        let hold_out = HoldOut::of(data, is_natural);
        let seed = |purpose| move |client: Option<&ClientName>| root.derive(purpose, 0, client);
        let mut split = Split::of(roster, hold_out, seed(Purpose::Split));
        if data.validation <= 0.0 {
            return Self::of_split(roster, simulation, &split, root);
        }
        let hold_out = HoldOut {
            fraction: data.validation,
            ..hold_out
        };
        let inner = hold_out.split(roster, &split.train, seed(Purpose::Validation));
        split.train.clone_from(&inner.train);
        let tested = Self::of_split(roster, simulation, &split, root)?;
        // The same training rows are dealt alike; the other rows held out follow them as test rows do.
        let chosen = Self::of_split(roster, simulation, &inner, root)?;
        Ok(Self {
            validation: Some(chosen.test),
            ..tested
        })
    }

    fn of_split(
        roster: &Roster,
        simulation: &Simulation,
        split: &Split,
        root: &Seed,
    ) -> Result<Self, PartitionError> {
        let seed = root.derive(Purpose::Partition, 0, None);
        let minimum = simulation
            .minimum_rows
            .max(u32::from(!simulation.allow_empty));
        let clients = || simulation.clients.ok_or(PartitionError::NoClients);
        let dealt = |partitioner: &dyn Partitioner| {
            Self::dealt(roster, split, partitioner, clients()?, minimum, &seed)
        };
        match simulation.partition {
            job::Partition::Iid => dealt(&Iid),
            job::Partition::Dirichlet { alpha } => dealt(&DirichletLabels { alpha }),
            job::Partition::DirichletQuantity { alpha } => dealt(&DirichletQuantity { alpha }),
            job::Partition::Shards { per_client, size } => dealt(&Shards { per_client, size }),
            job::Partition::Classes { per_client } => dealt(&ClassesPerClient { per_client }),
            job::Partition::PowerLaw { exponent } => dealt(&PowerLaw { exponent }),
            job::Partition::Drawn { rows } => Self::drawn(split, clients()?, rows, &seed),
            job::Partition::Natural { .. } => {
                Self::natural(roster, split, simulation.clients, minimum, &seed)
            }
        }
    }

    /// `clients` numbered clients, dealt by `partitioner`; test rows follow so that every client is
    /// tested on the mix of classes that it learns from.
    ///
    /// With a `minimum` of training rows a client without rows gets one of the largest client's, and
    /// clients that still have fewer than `minimum` are left out.
    ///
    /// # Errors
    /// [`PartitionError`], which says what to change.
    pub fn dealt(
        roster: &Roster,
        split: &Split,
        partitioner: &dyn Partitioner,
        clients: u32,
        minimum: u32,
        seed: &Seed,
    ) -> Result<Self, PartitionError> {
        let rows = split.train.len();
        expect_some(clients, rows)?;
        if minimum > 0 && clients as usize > rows {
            return Err(PartitionError::MoreClientsThanRows { clients, rows });
        }
        let mut rng = seed.rng();
        let mut train = partitioner.deal(roster, &split.train, clients, &mut rng)?;
        if minimum > 0 {
            train = train.fill_empty();
        }
        if minimum > 1 {
            let sizes = train.clone();
            train = train.retain(|client| sizes.rows(client).len() >= minimum as usize);
        }
        if train.clients() == 0 {
            return Err(PartitionError::NobodyLeft { minimum });
        }
        let mut test = split.test.clone();
        shuffle(&mut rng, &mut test);
        let test = train.follow(roster, &test);
        let population = Population::numbered(train.clients())?;
        Ok(Self {
            population,
            train: TrainingRows::Dealt(train),
            test,
            validation: None,
        })
    }

    /// The clients that the data name. Those with fewer than `minimum` training rows are left out; of
    /// the others `clients` are chosen, or all.
    ///
    /// # Errors
    /// [`PartitionError`], which says what to change.
    pub fn natural(
        roster: &Roster,
        split: &Split,
        clients: Option<u32>,
        minimum: u32,
        seed: &Seed,
    ) -> Result<Self, PartitionError> {
        let (population, train, test) = natural(roster, split, clients, minimum, seed)?;
        Ok(Self {
            population,
            train: TrainingRows::Dealt(train),
            test,
            validation: None,
        })
    }

    /// `clients` numbered clients that each draw `rows` training rows, whatever the others drew; test
    /// rows are dealt evenly.
    ///
    /// # Errors
    /// [`PartitionError`], which says what to change.
    pub fn drawn(
        split: &Split,
        clients: u32,
        rows: u32,
        seed: &Seed,
    ) -> Result<Self, PartitionError> {
        expect_some(clients, split.train.len())?;
        let drawn = Drawn::new(split.train.clone(), rows, seed.clone())?;
        let mut test = split.test.clone();
        shuffle(&mut seed.rng(), &mut test);
        let tests = test.len() as u64;
        let end = |client: u32| (tests * u64::from(client + 1) / u64::from(clients)) as usize;
        Ok(Self {
            population: Population::numbered(clients)?,
            train: TrainingRows::Drawn(drawn),
            test: Deal::cut(test, (0..clients).map(end)),
            validation: None,
        })
    }
}

fn expect_some(clients: u32, rows: usize) -> Result<(), PartitionError> {
    match (clients, rows) {
        (0, _) => Err(PartitionError::NoClients),
        (_, 0) => Err(PartitionError::NoRows),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::ClientIndex;
    use proptest::prelude::*;

    use super::*;
    use crate::{Categories, LabelCounts};

    fn roster(rows: u32) -> Roster {
        let labels = Categories::numbered((0..rows).map(|row| row % 7 % 5).collect(), 5);
        let clients: Vec<String> = (0..rows)
            .map(|row| format!("site {}", row * row % 11))
            .collect();
        Roster::new(rows)
            .with_labels(labels.expect("below 5"))
            .with_clients(Categories::of(clients.iter().map(String::as_str)))
    }

    fn split(rows: u32) -> Split {
        Split {
            train: (0..rows).filter(|row| row % 4 != 0).collect(),
            test: (0..rows).step_by(4).collect(),
        }
    }

    fn rules() -> impl Strategy<Value = Box<dyn Partitioner>> {
        fn of<P: Partitioner + 'static>(partitioner: P) -> Box<dyn Partitioner> {
            Box::new(partitioner)
        }
        prop_oneof![
            Just(()).prop_map(|()| of(Iid)),
            (0.01_f64..10.0).prop_map(|alpha| of(DirichletLabels { alpha })),
            (0.01_f64..10.0).prop_map(|alpha| of(DirichletQuantity { alpha })),
            (1_u32..4).prop_map(|per_client| of(Shards {
                per_client,
                size: None
            })),
            (1_u32..4).prop_map(|per_client| of(ClassesPerClient { per_client })),
            (0.0_f64..3.0).prop_map(|exponent| of(PowerLaw { exponent })),
        ]
    }

    proptest! {
        #[test]
        fn every_rule_deals_each_row_once_and_leaves_nobody_empty(
            rule in rules(),
            rows in 400_u32..600,
            clients in 5_u32..30,
            seed in any::<u64>(),
        ) {
            let (roster, split) = (roster(rows), split(rows));
            let deal = |seed: u64| {
                Partition::dealt(&roster, &split, &*rule, clients, 1, &seed.into())
            };
            let partition = deal(seed).expect("enough rows");
            prop_assert_eq!(partition.clients(), clients);
            prop_assert_eq!(partition.all_train(), split.train.clone());
            prop_assert_eq!(partition.all_test(), split.test.clone());
            for client in partition.population().indices() {
                prop_assert!(!partition.train(client).is_empty());
                prop_assert!(partition.train(client).is_sorted());
            }
            prop_assert_eq!(&deal(seed), &Ok(partition));
        }
    }

    #[test]
    fn another_seed_deals_otherwise() {
        let of = |seed: u64| Partition::dealt(&roster(100), &split(100), &Iid, 5, 1, &seed.into());
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn more_clients_than_rows_are_refused_unless_some_may_be_empty() {
        let of = |minimum| Partition::dealt(&roster(8), &split(8), &Iid, 9, minimum, &1.into());
        assert_eq!(
            of(1),
            Err(PartitionError::MoreClientsThanRows {
                clients: 9,
                rows: 6
            })
        );
        assert_eq!(of(0).map(|partition| partition.clients()), Ok(9));
    }

    #[test]
    fn natural_clients_have_their_own_rows_on_both_sides() {
        let (roster, split) = (roster(110), split(110));
        let partition = Partition::natural(&roster, &split, None, 1, &1.into()).expect("named");
        let names = roster.clients().expect("named");
        for client in partition.population().indices() {
            let name = partition.name(client);
            for &row in partition.train(client).iter().chain(partition.test(client)) {
                assert_eq!(names.name(row as usize), name.as_str());
            }
        }
        assert_eq!(partition.all_train(), split.train);
        let some = Partition::natural(&roster, &split, Some(3), 1, &1.into());
        assert_eq!(some.map(|partition| partition.clients()), Ok(3));
        let too_many = PartitionError::TooFewNaturalClients {
            wanted: 99,
            found: 6,
        };
        assert_eq!(
            Partition::natural(&roster, &split, Some(99), 1, &1.into()),
            Err(too_many)
        );
    }

    #[test]
    fn rows_for_validation_are_nobodys_training_rows_and_follow_their_client() {
        let roster = roster(400);
        let of = |kind: &str, validation: f64| {
            let text = format!(
                "name = \"t\"\nrounds = 1\n[data]\npath = \"t.csv\"\nlabel = \"y\"\n\
                 validation = {validation:?}\n\
                 [simulation]\n{kind}\n[model]\nkind = \"logistic\"\n"
            );
            let job = job::Job::parse(&text).expect("a sound job");
            Partition::simulated(&roster, &job.simulation, &job.data, &1.into()).expect("deals")
        };
        for kind in [
            "partition = { kind = \"natural\" }",
            "clients = 5\npartition = { kind = \"dirichlet\", alpha = 0.5 }",
            "clients = 5\npartition = { kind = \"drawn\", rows = 10 }",
        ] {
            let (with, without) = (of(kind, 0.25), of(kind, 0.0));
            assert_eq!(with.all_test(), without.all_test());
            let mut held = Vec::new();
            for client in with.population().indices() {
                held.extend_from_slice(with.validation(client));
                assert!(without.validation(client).is_empty());
                assert!(
                    with.validation(client)
                        .iter()
                        .all(|row| with.held_out(client).contains(row))
                );
            }
            held.sort_unstable();
            let mut all = [with.all_train(), held.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, without.all_train(), "{kind}");
            assert!((76..90).contains(&held.len()), "{kind}: {}", held.len());
        }
    }

    #[test]
    fn clients_with_too_few_rows_are_left_out() {
        let rule = PowerLaw { exponent: 2.0 };
        let partition = Partition::dealt(&roster(100), &split(100), &rule, 20, 5, &1.into());
        let partition = partition.expect("some are large");
        let sizes = partition
            .population()
            .indices()
            .map(|client| partition.train_len(client));
        assert!(sizes.min() >= Some(5));
    }

    #[test]
    fn a_million_clients_that_draw_cost_bytes_each() {
        let partition =
            Partition::drawn(&split(400), 1_000_000, 6, &1.into()).expect("enough rows");
        assert_eq!(
            partition.name(ClientIndex(999_999)).as_str(),
            "client-999999"
        );
        assert_eq!(partition.train(ClientIndex(999_999)).len(), 6);
        assert_eq!(partition.all_test().len(), 100);
    }

    #[test]
    fn the_picture_counts_every_training_row() {
        let (roster, split) = (roster(100), split(100));
        let partition = Partition::dealt(&roster, &split, &Iid, 5, 1, &1.into()).expect("enough");
        let counts = LabelCounts::of(&partition, &roster, 3);
        assert_eq!(
            (
                counts.clients.len(),
                counts.classes.len(),
                counts.counts.len()
            ),
            (3, 5, 15)
        );
        assert_eq!(counts.counts.iter().sum::<u32>(), 45);
    }
}
