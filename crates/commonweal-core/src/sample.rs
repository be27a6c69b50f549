//! Draws whose values are part of a run's reproducibility, so defined here and not by a library.

use rand_core::Rng;

/// A whole number below `bound`, each equally likely.
///
/// Multiplication with rejection: Lemire 2019, "Fast random integer generation in an interval",
/// algorithm 5. `bound` 0 counts as 1.
pub fn below(rng: &mut impl Rng, bound: u64) -> u64 {
    let bound = bound.max(1);
    let mut product = u128::from(rng.next_u64()) * u128::from(bound);
    if (product as u64) < bound {
        let threshold = bound.wrapping_neg() % bound;
        while (product as u64) < threshold {
            product = u128::from(rng.next_u64()) * u128::from(bound);
        }
    }
    (product >> 64) as u64
}

/// A number in [0, 1): one of the 2^53 multiples of 2^-53, each equally likely.
pub fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// A standard normal number, by the polar method (Marsaglia and Bray 1964).
///
/// Not for noise that protects anybody: its floating-point grid can be attacked (Mironov 2012).
pub fn normal(rng: &mut impl Rng) -> f64 {
    loop {
        let (x, y) = (2.0 * unit(rng) - 1.0, 2.0 * unit(rng) - 1.0);
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * libm::sqrt(-2.0 * libm::log(square) / square);
        }
    }
}

/// Puts `items` into a random order, each equally likely (Fisher and Yates, from the last item down).
pub fn shuffle<T>(rng: &mut impl Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::Seed;

    #[test]
    fn a_draw_below_a_bound_hits_every_value_equally_often() {
        let mut rng = Seed::from(1).rng();
        let mut counts = [0_i32; 6];
        (0..60_000).for_each(|_| counts[below(&mut rng, 6) as usize] += 1);
        // Five standard deviations of a binomial count.
        assert!(
            counts.iter().all(|count| (count - 10_000).abs() < 457),
            "{counts:?}"
        );
        assert_eq!(below(&mut rng, 1), 0);
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let mut rng = Seed::from(1).rng();
        let draws: Vec<f64> = (0..100_000).map(|_| normal(&mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / 1e5;
        assert!(mean.abs() < 5.0 / 316.2, "{mean}");
        assert!((variance - 1.0).abs() < 5.0 * 1.4143 / 316.2, "{variance}");
    }

    #[test]
    fn a_shuffle_keeps_the_items_and_every_order_is_possible() {
        let mut rng = Seed::from(1).rng();
        let mut orders = std::collections::BTreeMap::new();
        for _ in 0..6_000 {
            let mut items = [1, 2, 3];
            shuffle(&mut rng, &mut items);
            *orders.entry(items).or_insert(0_i32) += 1;
        }
        assert_eq!(orders.len(), 6);
        assert!(
            orders.values().all(|count| (count - 1000).abs() < 145),
            "{orders:?}"
        );
    }
}
