//! Which clients take part in a round.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use chacha20::{ChaCha8Rng, ChaCha20Rng};
use rand_core::Rng;

use crate::job::CohortSize;
use crate::{ClientIndex, Entropy, Population, Seed, below, shuffle};

/// Draws the clients of a round.
pub trait Selector: Send + Sync {
    /// The cohort of `round`, from `randomness` that is fresh for this round.
    fn select(&self, population: &Population, round: u64, randomness: Randomness) -> Cohort;
}

/// Where a cohort's draw comes from.
#[derive(Debug)]
pub enum Randomness {
    /// From the job's seed: everyone can repeat the draw, and no privacy follows from it.
    Public(Seed),
    /// From the operating system: the draw is a secret on which amplification by sampling may rest.
    Secret(Entropy),
}

/// The clients drawn for a round.
#[derive(Debug)]
pub struct Cohort {
    /// Those invited at first, in order.
    pub invited: Vec<ClientIndex>,
    /// Reports that suffice; fewer than are invited if the selector over-selects.
    pub goal: u32,
    /// Who is invited instead of a client that vanishes before training.
    pub reserve: Reserve,
}

/// The rest of a draw: clients in the order in which they replace others.
#[derive(Debug)]
pub struct Reserve(Option<Permutation>);

impl Reserve {
    /// Nobody: a client that vanishes is not replaced.
    pub const fn none() -> Self {
        Self(None)
    }
}

impl Iterator for Reserve {
    type Item = ClientIndex;

    fn next(&mut self) -> Option<ClientIndex> {
        self.0.as_mut()?.next()
    }
}

/// A fixed number of clients, each set of that size equally likely.
///
/// Costs O(cohort), and one bit a client of the population.
#[derive(Debug, Clone, PartialEq)]
pub struct Uniform {
    /// Reports wanted.
    pub size: CohortSize,
    /// Clients invited for each report wanted, because some will fail: 1.3 in Bonawitz et al. 2019.
    pub over_selection: f64,
}

impl Selector for Uniform {
    fn select(&self, population: &Population, _round: u64, randomness: Randomness) -> Cohort {
        let mut draw = Permutation::new(population.clients(), randomness);
        let mut invited: Vec<_> = draw
            .by_ref()
            .take(self.invitations(population) as usize)
            .collect();
        invited.sort_unstable();
        Cohort {
            invited,
            goal: reports(self.size, population),
            reserve: Reserve(Some(draw)),
        }
    }
}

impl Uniform {
    /// Clients that are invited at first: the goal with its over-selection, at most all.
    fn invitations(&self, population: &Population) -> u32 {
        let goal = f64::from(reports(self.size, population));
        let invited = libm::ceil(goal * self.over_selection.max(1.0));
        (invited as u32).min(population.clients())
    }
}

/// Each client by itself with probability `rate`, so that the number of clients varies and may be 0.
///
/// The sampling of the DP-FedAvg analysis (McMahan et al. 2018). Nobody is replaced. The probability is exact
/// to 2^-64. Costs one random byte a client of the population.
#[derive(Debug, Clone, PartialEq)]
pub struct Poisson {
    /// Probability of each client, in (0, 1].
    pub rate: f64,
}

impl Selector for Poisson {
    fn select(&self, population: &Population, _round: u64, randomness: Randomness) -> Cohort {
        let mut stream = Stream::from(randomness);
        let threshold = libm::ldexp(self.rate.clamp(0.0, 1.0), 64);
        let invited: Vec<_> = match threshold < libm::ldexp(1.0, 64) {
            true => hits(&mut stream, population.clients(), threshold as u64),
            false => population.indices().collect(),
        };
        Cohort {
            goal: invited.len() as u32,
            invited,
            reserve: Reserve::none(),
        }
    }
}

/// Every client in every round.
#[derive(Debug, Clone, PartialEq)]
pub struct All;

impl Selector for All {
    fn select(&self, population: &Population, _round: u64, _randomness: Randomness) -> Cohort {
        Cohort {
            invited: population.indices().collect(),
            goal: population.clients(),
            reserve: Reserve::none(),
        }
    }
}

/// The number of clients of a size: at least 1, at most all.
fn reports(size: CohortSize, population: &Population) -> u32 {
    let all = population.clients();
    let clients = match size {
        CohortSize::Target(clients) => clients,
        CohortSize::Fraction(fraction) => libm::round(fraction * f64::from(all)) as u32,
    };
    clients.clamp(1, all)
}

/// The clients whose 64-bit draw is below `threshold`. The first byte of a draw decides unless it equals the
/// threshold's; only then are the other seven drawn.
fn hits(stream: &mut Stream, clients: u32, threshold: u64) -> Vec<ClientIndex> {
    let (first, rest) = ((threshold >> 56) as u8, threshold << 8 >> 8);
    let mut hits = Vec::new();
    let mut bytes = [0; 4096];
    for start in (0..clients).step_by(bytes.len()) {
        let block = &mut bytes[..(clients - start).min(4096) as usize];
        stream.fill(block);
        for (client, &byte) in (start..).zip(block.iter()) {
            if byte < first || (byte == first && stream.next_u64() >> 8 < rest) {
                hits.push(ClientIndex(client));
            }
        }
    }
    hits
}

/// A uniformly random order of `clients` indices, drawn as far as it is asked for.
///
/// Draws again whatever was drawn before; once half are gone, shuffles the rest.
struct Permutation {
    clients: u32,
    drawn: u32,
    taken: Vec<u64>,
    rest: Vec<ClientIndex>,
    stream: Stream,
}

impl Permutation {
    fn new(clients: u32, randomness: Randomness) -> Self {
        let taken = vec![0; clients.div_ceil(64) as usize];
        Self {
            clients,
            drawn: 0,
            taken,
            rest: Vec::new(),
            stream: randomness.into(),
        }
    }

    fn shuffle_rest(&mut self) {
        let free = |&client: &u32| self.taken[client as usize / 64] >> (client % 64) & 1 == 0;
        self.rest = (0..self.clients).filter(free).map(ClientIndex).collect();
        self.stream.shuffle(&mut self.rest);
    }
}

impl Iterator for Permutation {
    type Item = ClientIndex;

    fn next(&mut self) -> Option<ClientIndex> {
        if self.drawn == self.clients {
            return None;
        }
        if self.drawn == self.clients / 2 {
            self.shuffle_rest();
        }
        self.drawn += 1;
        if self.drawn > self.clients / 2 {
            return self.rest.pop();
        }
        loop {
            let client = self.stream.below(self.clients);
            let (word, bit) = (client as usize / 64, 1 << (client % 64));
            if self.taken[word] & bit == 0 {
                self.taken[word] |= bit;
                return Some(ClientIndex(client));
            }
        }
    }
}

impl fmt::Debug for Permutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permutation({} of {} drawn)", self.drawn, self.clients)
    }
}

enum Stream {
    Public(ChaCha8Rng),
    Secret(ChaCha20Rng),
}

impl Stream {
    fn fill(&mut self, bytes: &mut [u8]) {
        match self {
            Self::Public(rng) => rng.fill_bytes(bytes),
            Self::Secret(rng) => rng.fill_bytes(bytes),
        }
    }

    fn next_u64(&mut self) -> u64 {
        match self {
            Self::Public(rng) => rng.next_u64(),
            Self::Secret(rng) => rng.next_u64(),
        }
    }

    fn below(&mut self, bound: u32) -> u32 {
        match self {
            Self::Public(rng) => below(rng, bound.into()) as u32,
            Self::Secret(rng) => below(rng, bound.into()) as u32,
        }
    }

    fn shuffle(&mut self, clients: &mut [ClientIndex]) {
        match self {
            Self::Public(rng) => shuffle(rng, clients),
            Self::Secret(rng) => shuffle(rng, clients),
        }
    }
}

impl From<Randomness> for Stream {
    fn from(randomness: Randomness) -> Self {
        match randomness {
            Randomness::Public(seed) => Self::Public(seed.rng()),
            Randomness::Secret(entropy) => Self::Secret(entropy.into_rng()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::collections::BTreeSet;

    use super::*;

    fn public(number: u64) -> Randomness {
        Randomness::Public(Seed::from(number))
    }

    fn selectors() -> [Box<dyn Selector>; 5] {
        let uniform = |size, over_selection| {
            Box::new(Uniform {
                size,
                over_selection,
            })
        };
        [
            uniform(CohortSize::Target(7), 1.0),
            uniform(CohortSize::Fraction(0.1), 1.3),
            Box::new(Poisson { rate: 0.3 }),
            Box::new(Poisson { rate: 1.0 }),
            Box::new(All),
        ]
    }

    #[test]
    fn every_selector_draws_clients_of_the_population_once_and_in_order() {
        for selector in selectors() {
            for clients in [1, 2, 63, 64, 65, 1000] {
                let population = Population::numbered(clients).unwrap();
                let cohort = selector.select(&population, 1, public(clients.into()));
                assert!(cohort.invited.is_sorted_by(|a, b| a < b));
                assert!(cohort.invited.iter().all(|client| client.0 < clients));
                let all: Vec<_> = cohort
                    .invited
                    .iter()
                    .copied()
                    .chain(cohort.reserve)
                    .collect();
                assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
                assert!(cohort.goal as usize <= cohort.invited.len());
            }
        }
    }

    #[test]
    fn equal_randomness_draws_equal_cohorts_and_other_randomness_others() {
        let population = Population::numbered(1000).unwrap();
        let selector = Uniform {
            size: CohortSize::Target(20),
            over_selection: 1.0,
        };
        let draw = |randomness| selector.select(&population, 1, randomness).invited;
        assert_eq!(draw(public(1)), draw(public(1)));
        assert_ne!(draw(public(1)), draw(public(2)));
        let secret = |byte| Randomness::Secret(Entropy::new([byte; 32]));
        assert_eq!(draw(secret(1)), draw(secret(1)));
        assert_ne!(draw(secret(1)), draw(secret(2)));
    }

    #[test]
    fn a_cohort_and_its_reserve_are_the_whole_population() {
        for clients in [1, 5, 64, 100] {
            let population = Population::numbered(clients).unwrap();
            for target in [1, clients / 2, clients] {
                let selector = Uniform {
                    size: CohortSize::Target(target),
                    over_selection: 1.0,
                };
                let cohort = selector.select(&population, 1, public(3));
                let mut all: Vec<_> = cohort.invited.into_iter().chain(cohort.reserve).collect();
                all.sort_unstable();
                assert!(all.into_iter().eq(population.indices()));
            }
        }
    }

    #[test]
    fn every_pair_of_clients_is_equally_likely() {
        let population = Population::numbered(5).unwrap();
        let selector = Uniform {
            size: CohortSize::Target(2),
            over_selection: 1.0,
        };
        let mut counts = [[0_i32; 5]; 5];
        for seed in 0..10_000 {
            let invited = selector.select(&population, 1, public(seed)).invited;
            counts[invited[0].as_usize()][invited[1].as_usize()] += 1;
        }
        // Ten pairs: five standard deviations of a binomial count with p = 1/10.
        for (a, row) in counts.iter().enumerate() {
            for (b, count) in row.iter().enumerate() {
                let expected = if a < b { 1000 } else { 0 };
                assert!(
                    (count - expected).abs() <= if a < b { 150 } else { 0 },
                    "{a} {b} {count}"
                );
            }
        }
    }

    #[test]
    fn poisson_draws_each_client_with_its_rate() {
        let population = Population::numbered(1_000_000).unwrap();
        for rate in [0.001, 0.5, 0.3, 1.0 / 256.0] {
            let drawn = Poisson { rate }
                .select(&population, 1, public(1))
                .invited
                .len() as f64;
            let deviation = (1e6 * rate * (1.0 - rate)).sqrt();
            assert!(
                (drawn - 1e6 * rate).abs() < 5.0 * deviation,
                "{rate}: {drawn}"
            );
        }
        let sure = Poisson { rate: 1.0 }.select(&population, 1, public(1));
        assert_eq!(sure.invited.len(), 1_000_000);
    }

    #[test]
    fn over_selection_invites_more_than_it_wants() {
        let population = Population::numbered(100).unwrap();
        let selector = Uniform {
            size: CohortSize::Fraction(0.1),
            over_selection: 1.25,
        };
        let cohort = selector.select(&population, 1, public(1));
        assert_eq!((cohort.invited.len(), cohort.goal), (13, 10));
    }
}
