//! All clients of a run, as a sorted set in which a client is an index.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::ClientName;

/// A client's position in its [`Population`]. Ordered as the names are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientIndex(pub u32);

impl ClientIndex {
    /// As an index into a slice with one element a client.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// The clients of a run, sorted by name in byte order and without repetition.
///
/// A numbered population costs a few bytes, whatever its size. Cloning costs a reference count.
#[derive(Clone, PartialEq, Eq)]
pub struct Population(Names);

#[derive(Clone, PartialEq, Eq)]
enum Names {
    Listed(Arc<[ClientName]>),
    Numbered { clients: u32, width: usize },
}

/// Why names make no population.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PopulationError {
    /// Nobody.
    #[error("there are no clients")]
    Empty,
    /// Two clients of one name.
    #[error("two clients are called {name}: every client needs its own name")]
    Duplicate {
        /// The name.
        name: ClientName,
    },
    /// More than [`Population::MAX_CLIENTS`].
    #[error(
        "there are {found} clients; at most {} are possible",
        Population::MAX_CLIENTS
    )]
    TooMany {
        /// Clients given.
        found: usize,
    },
}

impl Population {
    /// Largest number of clients: 2^31.
    pub const MAX_CLIENTS: u32 = 1 << 31;

    /// The clients of these names, in any order.
    ///
    /// # Errors
    /// No name, one name twice, or too many.
    pub fn named(mut names: Vec<ClientName>) -> Result<Self, PopulationError> {
        if names.is_empty() {
            return Err(PopulationError::Empty);
        }
        if names.len() > Self::MAX_CLIENTS as usize {
            return Err(PopulationError::TooMany { found: names.len() });
        }
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(PopulationError::Duplicate {
                name: pair[0].clone(),
            });
        }
        Ok(Self(Names::Listed(names.into())))
    }

    /// One client.
    pub fn single(name: ClientName) -> Self {
        Self(Names::Listed([name].into()))
    }

    /// `client-000`, `client-001` and so on: with as many digits, at least three, as the last one needs,
    /// so that the order of the numbers is that of the names.
    ///
    /// # Errors
    /// No client, or too many.
    pub fn numbered(clients: u32) -> Result<Self, PopulationError> {
        match clients {
            0 => Err(PopulationError::Empty),
            1..=Self::MAX_CLIENTS => {
                let width = ((clients - 1).checked_ilog10().unwrap_or(0) as usize + 1).max(3);
                Ok(Self(Names::Numbered { clients, width }))
            }
            _ => Err(PopulationError::TooMany {
                found: clients as usize,
            }),
        }
    }

    /// Number of clients.
    pub fn clients(&self) -> u32 {
        match &self.0 {
            Names::Listed(names) => names.len() as u32,
            Names::Numbered { clients, .. } => *clients,
        }
    }

    /// The name of a client, or `None` beyond the last.
    pub fn name(&self, client: ClientIndex) -> Option<ClientName> {
        match &self.0 {
            Names::Listed(names) => names.get(client.as_usize()).cloned(),
            Names::Numbered { clients, width } => {
                (client.0 < *clients).then(|| numbered_name(client.0, *width))
            }
        }
    }

    /// The client of a name, or `None` if it is unknown. Costs a binary search at most.
    pub fn index(&self, name: &ClientName) -> Option<ClientIndex> {
        match &self.0 {
            Names::Listed(names) => names
                .binary_search(name)
                .ok()
                .map(|at| ClientIndex(at as u32)),
            Names::Numbered { clients, width } => {
                let digits = name.as_str().strip_prefix("client-")?;
                let number = digits.parse().ok().filter(|number| number < clients)?;
                (numbered_name(number, *width) == *name).then_some(ClientIndex(number))
            }
        }
    }

    /// All clients, in order.
    pub fn indices(&self) -> impl ExactSizeIterator<Item = ClientIndex> + use<> {
        (0..self.clients()).map(ClientIndex)
    }
}

fn numbered_name(number: u32, width: usize) -> ClientName {
    let text = alloc::format!("client-{number:0width$}");
    // Unwrap safety: "client-" and digits are a short name without control characters.
    #[expect(clippy::unwrap_used)]
    ClientName::try_from(text.as_str()).unwrap()
}

impl fmt::Debug for Population {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Population({} clients)", self.clients())
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn name(text: &str) -> ClientName {
        ClientName::try_from(text).unwrap()
    }

    #[test]
    fn a_population_is_sorted_and_knows_its_clients() {
        let population = Population::named(vec![name("b"), name("a"), name("c")]).unwrap();
        assert_eq!(population.index(&name("b")), Some(ClientIndex(1)));
        assert_eq!(population.name(ClientIndex(0)), Some(name("a")));
        assert_eq!(population.index(&name("d")), None);
        assert_eq!(population.name(ClientIndex(3)), None);
    }

    #[test]
    fn numbered_names_are_in_byte_order_and_found_again() {
        for clients in [1, 10, 1000, 1001, 123_456] {
            let population = Population::numbered(clients).unwrap();
            let last = ClientIndex(clients - 1);
            let mut before = None;
            for client in population.indices().step_by(997).chain([last]) {
                let name = population.name(client);
                assert!(name >= before, "{name:?} comes before {before:?}");
                assert_eq!(population.index(name.as_ref().unwrap()), Some(client));
                before = name;
            }
        }
        let population = Population::numbered(100).unwrap();
        assert_eq!(population.name(ClientIndex(17)), Some(name("client-017")));
        for stranger in [
            "client-17",
            "client-0017",
            "client-100",
            "client-+17",
            "client-",
        ] {
            assert_eq!(population.index(&name(stranger)), None);
        }
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        let twice = Population::named(vec![name("a"), name("b"), name("a")]);
        assert_eq!(twice, Err(PopulationError::Duplicate { name: name("a") }));
    }
}
