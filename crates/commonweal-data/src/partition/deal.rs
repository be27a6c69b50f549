//! Rows by client: one permutation and one offset a client.

use std::collections::BinaryHeap;

use crate::Roster;

/// Which rows each client holds. A row belongs to at most one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deal {
    rows: Vec<u32>,
    offsets: Vec<u32>,
}

impl Deal {
    /// The rows of each client in turn, put into ascending order.
    pub fn new(by_client: impl IntoIterator<Item = Vec<u32>>) -> Self {
        let mut deal = Self {
            rows: Vec::new(),
            offsets: vec![0],
        };
        for mut rows in by_client {
            rows.sort_unstable();
            deal.rows.append(&mut rows);
            deal.offsets.push(deal.rows.len() as u32);
        }
        deal
    }

    /// Cuts `rows` into runs that end at `ends`, one a client, ascending; the last end may leave rows
    /// over.
    ///
    /// # Panics
    /// If the ends descend or go beyond the rows.
    pub fn cut(mut rows: Vec<u32>, ends: impl IntoIterator<Item = usize>) -> Self {
        let mut offsets = vec![0];
        let mut start = 0;
        for end in ends {
            rows[start..end].sort_unstable();
            offsets.push(end as u32);
            start = end;
        }
        rows.truncate(start);
        rows.shrink_to_fit();
        Self { rows, offsets }
    }

    /// Number of clients.
    pub fn clients(&self) -> u32 {
        self.offsets.len() as u32 - 1
    }

    /// The rows of one client, ascending.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn rows(&self, client: u32) -> &[u32] {
        let client = client as usize;
        &self.rows[self.offsets[client] as usize..self.offsets[client + 1] as usize]
    }

    /// All dealt rows, ascending.
    pub fn all(&self) -> Vec<u32> {
        let mut rows = self.rows.clone();
        rows.sort_unstable();
        rows
    }

    /// Gives each client without rows one row of the client that has most, while some client has two.
    #[must_use]
    pub fn fill_empty(self) -> Self {
        let mut by_client: Vec<Vec<u32>> = (0..self.clients())
            .map(|client| self.rows(client).to_vec())
            .collect();
        let empty: Vec<usize> = (0..by_client.len())
            .filter(|&client| by_client[client].is_empty())
            .collect();
        if empty.is_empty() {
            return self;
        }
        // The first of several largest: the heap compares `Reverse(client)` second.
        let mut largest: BinaryHeap<(usize, std::cmp::Reverse<usize>)> = by_client
            .iter()
            .enumerate()
            .map(|(client, rows)| (rows.len(), std::cmp::Reverse(client)))
            .collect();
        for client in empty {
            match largest.pop() {
                Some((size, std::cmp::Reverse(giver))) if size > 1 => {
                    let row = by_client[giver].pop();
                    by_client[client].extend(row);
                    largest.push((size - 1, std::cmp::Reverse(giver)));
                }
                _ => break,
            }
        }
        Self::new(by_client)
    }

    /// The same clients without those that `keep` refuses.
    #[must_use]
    pub fn retain(&self, mut keep: impl FnMut(u32) -> bool) -> Self {
        let kept = (0..self.clients()).filter(|&client| keep(client));
        Self::new(kept.map(|client| self.rows(client).to_vec()))
    }

    /// Deals `rows` so that every client's share of a class is its share of that class here.
    ///
    /// Rows of a class that nobody has here go by the clients' sizes. `rows` decides the order within
    /// a class; shuffle it before. One pass over both.
    #[must_use]
    pub fn follow(&self, roster: &Roster, rows: &[u32]) -> Self {
        let class = |row: u32| {
            roster
                .labels()
                .map_or(0, |labels| labels.codes()[row as usize])
        };
        let classes = roster.labels().map_or(1, |labels| labels.names().len());
        let mut held = vec![0_u64; classes];
        self.rows
            .iter()
            .for_each(|&row| held[class(row) as usize] += 1);
        // The last list collects what no class here can place.
        let mut queues = vec![Vec::new(); classes + 1];
        for &row in rows {
            let own = class(row) as usize;
            queues[if held[own] > 0 { own } else { classes }].push(row);
        }
        held.push(self.rows.len() as u64);
        let mut seen = vec![0_u64; classes + 1];
        let mut placed = vec![0_usize; classes + 1];
        Self::new((0..self.clients()).map(|client| {
            let mut own = Vec::new();
            for &row in self.rows(client) {
                for queue in [class(row) as usize, classes] {
                    seen[queue] += 1;
                    let waiting = queues[queue].len() as u64;
                    let due = (waiting * seen[queue] / held[queue]) as usize;
                    own.extend_from_slice(&queues[queue][placed[queue]..due]);
                    placed[queue] = due;
                }
            }
            own
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Categories;

    #[test]
    fn an_empty_client_gets_a_row_of_the_largest() {
        let deal = Deal::new([vec![], vec![0, 1, 2], vec![3, 4], vec![]]).fill_empty();
        let sizes: Vec<usize> = (0..4).map(|client| deal.rows(client).len()).collect();
        assert_eq!(sizes, [1, 1, 2, 1]);
        assert_eq!(deal.all(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn test_rows_follow_the_classes_of_the_training_rows() {
        let labels = ["a", "a", "b", "b", "a", "a", "b", "b", "c"];
        let roster = Roster::new(9).with_labels(Categories::of(labels));
        let deal = Deal::new([vec![0, 1], vec![2], vec![3]]);
        let test = deal.follow(&roster, &[4, 5, 6, 7, 8]);
        assert_eq!(test.rows(0), [4, 5]);
        assert_eq!(test.rows(1), [6]);
        // Class c occurs in no training row and goes by size.
        assert_eq!(test.rows(2), [7, 8]);
    }
}
