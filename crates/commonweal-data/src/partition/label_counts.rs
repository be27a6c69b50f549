//! How many rows of each class each client has: the picture of a partition.

use commonweal_core::ClientName;

use super::Partition;
use crate::Roster;

/// Rows by client and class, training rows only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelCounts {
    /// The clients, in the order of the population.
    pub clients: Vec<ClientName>,
    /// The classes in the order of their numbers; one without a name if the target is no class.
    pub classes: Vec<String>,
    /// `counts[client · classes + class]`.
    pub counts: Vec<u32>,
}

impl LabelCounts {
    /// Counts the rows of the first `most_clients` clients.
    pub fn of(partition: &Partition, roster: &Roster, most_clients: usize) -> Self {
        let classes: Vec<String> = match roster.labels() {
            Some(labels) => labels.names().iter().map(|name| name.to_string()).collect(),
            None => vec![String::new()],
        };
        let clients = partition.population().indices().take(most_clients);
        let mut counts = vec![0; clients.len() * classes.len()];
        let mut names = Vec::with_capacity(clients.len());
        for (client, counts) in clients.zip(counts.chunks_exact_mut(classes.len().max(1))) {
            names.push(partition.name(client));
            for &row in partition.train(client).iter() {
                let class = roster
                    .labels()
                    .map_or(0, |labels| labels.codes()[row as usize]);
                counts[class as usize] += 1;
            }
        }
        Self {
            clients: names,
            classes,
            counts,
        }
    }
}
