//! The coordinate-wise median of Yin, Chen, Ramchandran and Bartlett 2018, "Byzantine-Robust Distributed
//! Learning: Towards Optimal Statistical Rates" (arXiv:1803.01498), algorithm 1, option I.

use alloc::vec::Vec;

use super::{CohortBlock, RobustAggregator};

/// The median of every coordinate over the clients; of an even number of clients, the mean of the middle two.
///
/// Weights are not looked at: a client that lies would lie about its weight too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoordinateMedian;

impl RobustAggregator for CoordinateMedian {
    fn combine(&self, block: &CohortBlock<'_>, out: &mut [f64]) {
        let mut values = Vec::with_capacity(block.clients());
        for (coordinate, out) in out.iter_mut().enumerate() {
            values.clear();
            values.extend_from_slice(block.coordinate(coordinate));
            *out = median(&mut values);
        }
    }
}

/// The median of at least one value.
fn median(values: &mut [i32]) -> f64 {
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable(middle);
    match below.iter().max() {
        Some(&lower) if even => (f64::from(lower) + f64::from(upper)) / 2.0,
        _ => f64::from(upper),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_liar_cannot_move_the_median_beyond_the_others() {
        assert_eq!(median(&mut [1, i32::MAX, 3]), 3.0);
        assert_eq!(median(&mut [1, i32::MIN, 3]), 1.0);
    }

    #[test]
    fn an_even_number_gives_the_mean_of_the_middle_two() {
        assert_eq!(median(&mut [4, 1, 100, 3]), 3.5);
        assert_eq!(median(&mut [i32::MAX, i32::MAX]), f64::from(i32::MAX));
        assert_eq!(median(&mut [7]), 7.0);
    }
}
