//! One client by itself: a node with its own rows, or one client of a partition without the others.

use commonweal_core::job::Data;
use commonweal_core::{ClientIndex, ClientName, Population, Purpose, Seed};

use super::{Deal, Partition, PartitionError, TrainingRows};
use crate::{HoldOut, Roster, Split};

impl Partition {
    /// One client that owns all rows of `roster`, of which `data` says how many are held out.
    ///
    /// The rows held out are those that a natural partition of the whole federation holds out of this
    /// client's rows, if they come in the same order there and none of its groups has rows of another client.
    ///
    /// # Errors
    /// [`PartitionError::NoRows`] if none is left to learn from.
    pub fn alone(
        roster: &Roster,
        data: &Data,
        root: &Seed,
        name: &ClientName,
    ) -> Result<Self, PartitionError> {
        let seed = |purpose| move |_: Option<&ClientName>| root.derive(purpose, 0, Some(name));
        let hold_out = HoldOut::of(data, false);
        let split = Split::of(roster, hold_out, seed(Purpose::Split));
        let inner = HoldOut {
            fraction: data.validation,
            ..hold_out
        };
        let inner = inner.split(roster, &split.train, seed(Purpose::Validation));
        if inner.train.is_empty() {
            return Err(PartitionError::NoRows);
        }
        let validation = (data.validation > 0.0).then_some(inner.test);
        Ok(Self::one(name.clone(), inner.train, split.test, validation))
    }

    /// The rows of `client`, ascending, and the partition of these rows alone, numbered by their place among
    /// them.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn of_client(&self, client: ClientIndex) -> (Vec<u32>, Self) {
        let train = self.train(client);
        let mut rows = [&*train, &self.held_out(client)].concat();
        rows.sort_unstable();
        rows.dedup();
        let places = |of: &[u32]| -> Vec<u32> {
            of.iter()
                .map(|row| rows.partition_point(|other| other < row) as u32)
                .collect()
        };
        let validation = self.validation.as_ref();
        let validation = validation.map(|deal| places(deal.rows(client.0)));
        let alone = Self::one(
            self.name(client),
            places(&train),
            places(self.test(client)),
            validation,
        );
        (rows, alone)
    }

    fn one(
        name: ClientName,
        train: Vec<u32>,
        test: Vec<u32>,
        validation: Option<Vec<u32>>,
    ) -> Self {
        Self {
            population: Population::single(name),
            train: TrainingRows::Dealt(Deal::new([train])),
            test: Deal::new([test]),
            validation: validation.map(|rows| Deal::new([rows])),
        }
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::job::Job;
    use proptest::prelude::*;

    use super::*;
    use crate::Categories;

    fn job(lines: &str, simulation: &str) -> Job {
        let text = format!(
            "name = \"t\"\nrounds = 1\n[data]\npath = \"t.csv\"\nlabel = \"y\"\n{lines}\n\
             [simulation]\n{simulation}\n[model]\nkind = \"logistic\"\n"
        );
        Job::parse(&text).expect("a sound job")
    }

    fn texts(codes: &[u32]) -> Categories {
        let texts: Vec<String> = codes.iter().map(|code| format!("n{code}")).collect();
        Categories::of(texts.iter().map(String::as_str))
    }

    /// A roster of these rows: label, client and group, which belongs to one client.
    fn roster(rows: &[(u32, u32, u32)], grouped: bool) -> Roster {
        let column =
            |of: fn(&(u32, u32, u32)) -> u32| texts(&rows.iter().map(of).collect::<Vec<u32>>());
        let roster = Roster::new(rows.len() as u32)
            .with_labels(column(|row| row.0))
            .with_clients(column(|row| row.1));
        match grouped {
            true => roster.with_groups(column(|row| 10 * row.1 + row.2)),
            false => roster,
        }
    }

    proptest! {
        #[test]
        fn a_client_alone_holds_out_what_it_holds_out_in_its_federation(
            rows in proptest::collection::vec((0_u32..4, 0_u32..5, 0_u32..9), 20..200),
            percents in (0_u32..90, 0_u32..60),
            options in (any::<bool>(), any::<bool>()),
            seed in any::<u32>(),
        ) {
            let (grouped, stratify) = options;
            let (test, validation) = (f64::from(percents.0) / 100.0, f64::from(percents.1) / 100.0);
            let job = job(
                &format!("test = {test:?}\nvalidation = {validation:?}\nstratify = {stratify}"),
                "partition = \"natural\"",
            );
            let root = Seed::from(u64::from(seed));
            let federation = roster(&rows, grouped);
            let together = Partition::simulated(&federation, &job.simulation, &job.data, &root);
            let together = together.expect("every client keeps a row");
            for client in together.population().indices() {
                let name = together.name(client);
                let (own, narrowed) = together.of_client(client);
                let own: Vec<_> = own.iter().map(|&row| rows[row as usize]).collect();
                let alone = Partition::alone(&roster(&own, grouped), &job.data, &root, &name);
                prop_assert_eq!(alone.expect("has rows"), narrowed);
            }
        }
    }

    #[test]
    fn one_client_of_dealt_rows_keeps_its_rows_and_their_parts() {
        let rows: Vec<(u32, u32, u32)> = (0..60).map(|row| (row % 3, 0, 0)).collect();
        let job = job("validation = 0.25", "clients = 4");
        let roster = roster(&rows, false);
        let all = Partition::simulated(&roster, &job.simulation, &job.data, &Seed::from(1));
        let all = all.expect("enough rows");
        for client in all.population().indices() {
            let (rows, one) = all.of_client(client);
            let first = ClientIndex(0);
            let back = |places: &[u32]| -> Vec<u32> {
                places.iter().map(|&place| rows[place as usize]).collect()
            };
            assert_eq!(one.name(first), all.name(client));
            assert_eq!(back(&one.train(first)), *all.train(client));
            assert_eq!(back(one.test(first)), all.test(client));
            assert_eq!(back(one.validation(first)), all.validation(client));
        }
    }

    #[test]
    fn a_node_without_rows_is_refused() {
        let name = ClientName::try_from("oslo").expect("a name");
        let alone = Partition::alone(&Roster::new(0), &job("", "").data, &Seed::from(1), &name);
        assert_eq!(alone, Err(PartitionError::NoRows));
    }
}
