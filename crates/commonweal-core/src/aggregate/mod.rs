//! How the updates of a cohort become one.

mod accumulator;
mod mean;
mod median;

use alloc::vec;
use alloc::vec::Vec;

pub use accumulator::{Accumulator, Fold, Report};
pub(crate) use accumulator::{Held, Updates};
pub use mean::Mean;
pub use median::CoordinateMedian;

/// A verified update on the grid: right length and range. It borrows the bytes that arrived.
#[derive(Debug, Clone, Copy)]
pub struct GridUpdate<'a> {
    /// Four little-endian bytes a value.
    values: &'a [u8],
    weight: u32,
}

impl<'a> GridUpdate<'a> {
    pub(crate) fn new(values: &'a [u8], weight: u32) -> Self {
        Self { values, weight }
    }

    /// The values as four little-endian bytes each.
    pub fn bytes(self) -> &'a [u8] {
        self.values
    }

    /// The values.
    pub fn values(self) -> impl ExactSizeIterator<Item = i32> + 'a {
        self.values
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| i32::from_le_bytes(*bytes))
    }

    /// How much it counts.
    pub fn weight(self) -> u32 {
        self.weight
    }
}

/// A partial sum: what any part of the cohort adds up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// Σ weight × value on the grid, one a coordinate.
    pub sum: Vec<i64>,
    /// Σ weight.
    pub weight: u64,
    /// Updates in it.
    pub clients: u32,
}

impl Partial {
    /// The sum of nobody.
    pub fn zero(len: usize) -> Self {
        Self {
            sum: vec![0; len],
            weight: 0,
            clients: 0,
        }
    }
}

/// A rule that needs of a cohort only sums: memory does not grow with the cohort.
///
/// Sums are of integers, so no order of accumulating and merging changes a bit of the result.
pub trait Aggregator: Send + Sync {
    /// The partial sum of nobody, for updates of `len` values.
    fn zero(&self, len: usize) -> Partial {
        Partial::zero(len)
    }

    /// Adds one update.
    fn accumulate(&self, partial: &mut Partial, update: GridUpdate<'_>);

    /// Adds several updates, as if one after the other: a chance to touch the sum once for all of them.
    fn accumulate_all(&self, partial: &mut Partial, updates: &[GridUpdate<'_>]) {
        for update in updates {
            self.accumulate(partial, *update);
        }
    }

    /// Adds what another worker, thread or edge accumulated.
    fn merge(&self, partial: &mut Partial, other: &Partial);

    /// Whole numbers on the grid and their denominator.
    fn report(&self, partial: Partial) -> Sum;
}

/// What an aggregator found, on the grid: the mean is `values / denominator`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// One a coordinate.
    pub values: Vec<i64>,
    /// What to divide by.
    pub denominator: u64,
}

/// A rule that needs the whole cohort, such as a median: robust against clients that lie.
///
/// Called block by block over the coordinates, so that only the updates themselves take memory.
pub trait RobustAggregator: Send + Sync {
    /// Combines one block of coordinates into `out`, on the grid. Must not depend on the clients' order.
    fn combine(&self, block: &CohortBlock<'_>, out: &mut [f64]);
}

/// The values of the whole cohort at some consecutive coordinates.
#[derive(Debug, Clone, Copy)]
pub struct CohortBlock<'a> {
    values: &'a [i32],
    weights: &'a [u32],
}

impl<'a> CohortBlock<'a> {
    /// `values` holds coordinate after coordinate, each with the value of every client.
    pub(crate) fn new(values: &'a [i32], weights: &'a [u32]) -> Self {
        Self { values, weights }
    }

    /// Clients.
    pub fn clients(&self) -> usize {
        self.weights.len()
    }

    /// The weight of each client.
    pub fn weights(&self) -> &'a [u32] {
        self.weights
    }

    /// The value of each client at `coordinate` of the block.
    pub fn coordinate(&self, coordinate: usize) -> &'a [i32] {
        &self.values[coordinate * self.weights.len()..][..self.weights.len()]
    }
}
