//! What is known of each row beside its features and target: label, natural client, group, own test file.

use crate::Categories;

/// The facts that splitting and partitioning rest on. Row numbers are positions in it.
///
/// Values are checked where it is built: every column has as many rows as the roster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    rows: u32,
    labels: Option<Categories>,
    clients: Option<Categories>,
    groups: Option<Categories>,
    own_test: Vec<u32>,
}

impl Roster {
    /// `rows` rows of which nothing is known.
    pub fn new(rows: u32) -> Self {
        Self {
            rows,
            ..Self::default()
        }
    }

    /// With the class of each row.
    ///
    /// # Panics
    /// If `labels` has another number of rows.
    #[must_use]
    pub fn with_labels(mut self, labels: Categories) -> Self {
        assert_eq!(labels.rows(), self.rows as usize, "one label a row");
        self.labels = Some(labels);
        self
    }

    /// With the natural client of each row: its hospital, its wearer, its speaker.
    ///
    /// # Panics
    /// If `clients` has another number of rows.
    #[must_use]
    pub fn with_clients(mut self, clients: Categories) -> Self {
        assert_eq!(clients.rows(), self.rows as usize, "one client a row");
        self.clients = Some(clients);
        self
    }

    /// With the group of each row: rows of one group (a person, a series, a passage) stay on one
    /// side of every split.
    ///
    /// # Panics
    /// If `groups` has another number of rows.
    #[must_use]
    pub fn with_groups(mut self, groups: Categories) -> Self {
        assert_eq!(groups.rows(), self.rows as usize, "one group a row");
        self.groups = Some(groups);
        self
    }

    /// Number of rows.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The class of each row, if the target is a class.
    pub fn labels(&self) -> Option<&Categories> {
        self.labels.as_ref()
    }

    /// The natural client of each row.
    pub fn clients(&self) -> Option<&Categories> {
        self.clients.as_ref()
    }

    /// The group of each row.
    pub fn groups(&self) -> Option<&Categories> {
        self.groups.as_ref()
    }

    /// Rows of the data set's own test file, ascending; empty if it has none.
    pub fn own_test(&self) -> &[u32] {
        &self.own_test
    }

    /// What is known of these rows only, in this order; names that none of them has stay.
    #[must_use]
    pub fn select(&self, rows: &[u32]) -> Self {
        let select = |column: &Option<Categories>| column.as_ref().map(|own| own.select(rows));
        let is_test = |row: &u32| self.own_test.binary_search(row).is_ok();
        let places = (0..rows.len() as u32).zip(rows);
        Self {
            rows: rows.len() as u32,
            labels: select(&self.labels),
            clients: select(&self.clients),
            groups: select(&self.groups),
            own_test: places
                .filter(|(_, row)| is_test(row))
                .map(|(place, _)| place)
                .collect(),
        }
    }

    /// The rows of `self` for training, then those of `test` as the data set's own test file.
    ///
    /// A column is kept only if both parts have it.
    #[must_use]
    pub fn then_test(&self, test: &Self) -> Self {
        let rows = self.rows + test.rows;
        let join = |a: &Option<Categories>, b: &Option<Categories>| match (a, b) {
            (Some(a), Some(b)) => Some(a.then(b)),
            _ => None,
        };
        Self {
            rows,
            labels: join(&self.labels, &test.labels),
            clients: join(&self.clients, &test.clients),
            groups: join(&self.groups, &test.groups),
            own_test: (self.rows..rows).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_file_follows_the_training_file_and_is_marked() {
        let train = Roster::new(3).with_labels(Categories::of(["a", "b", "a"]));
        let test = Roster::new(2).with_labels(Categories::of(["b", "b"]));
        let both = train.then_test(&test);
        assert_eq!(both.own_test(), [3, 4]);
        assert_eq!(
            both.labels().map(|labels| labels.codes()),
            Some(&[0, 1, 0, 1, 1][..])
        );
    }
}
