//! Random shares of a whole, and whole numbers of rows that come nearest to them.

use commonweal_core::{SeedRng, normal, unit};

/// `parts` shares that sum to 1, drawn from the symmetric Dirichlet distribution of concentration
/// `alpha` > 0.
///
/// Gamma draws after Marsaglia and Tsang 2000, "A simple method for generating gamma variables"; in
/// logarithms, since for a small `alpha` nearly all of them are below the smallest `f64`.
pub(super) fn dirichlet(parts: usize, alpha: f64, rng: &mut SeedRng) -> Vec<f64> {
    let logs: Vec<f64> = (0..parts).map(|_| log_gamma_draw(alpha, rng)).collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut shares: Vec<f64> = logs.iter().map(|log| libm::exp(log - largest)).collect();
    let total: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= total);
    shares
}

/// The logarithm of a draw from the gamma distribution of shape `alpha` and scale 1.
fn log_gamma_draw(alpha: f64, rng: &mut SeedRng) -> f64 {
    // A draw of shape α + 1 times U^(1/α) has shape α; 1 − unit is never 0.
    let boost = if alpha < 1.0 {
        libm::log(1.0 - unit(rng)) / alpha
    } else {
        0.0
    };
    let shape = if alpha < 1.0 { alpha + 1.0 } else { alpha };
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / libm::sqrt(9.0 * d);
    loop {
        let x = normal(rng);
        let v = 1.0 + c * x;
        if v <= 0.0 {
            continue;
        }
        let v = v * v * v;
        let u = 1.0 - unit(rng);
        if libm::log(u) < 0.5 * x * x + d - d * v + d * libm::log(v) {
            return libm::log(d * v) + boost;
        }
    }
}

/// Where to cut `rows` rows so that part `i` has nearly `shares[i]` of them. The last end is `rows`.
pub(super) fn ends(rows: usize, shares: &[f64]) -> Vec<usize> {
    let mut sum = 0.0;
    let mut ends: Vec<usize> = shares
        .iter()
        .map(|share| {
            sum += share;
            ((sum * rows as f64).round() as usize).min(rows)
        })
        .collect();
    // Rounding may leave the sum a little below 1.
    if let Some(last) = ends.last_mut() {
        *last = rows;
    }
    ends
}

#[cfg(test)]
mod tests {
    use commonweal_core::Seed;

    use super::*;

    #[test]
    fn dirichlet_shares_have_the_mean_and_variance_of_the_distribution() {
        const PARTS: usize = 4;
        const DRAWS: usize = 20_000;
        for alpha in [0.1, 0.5, 1.0, 5.0] {
            let mut rng = Seed::from(1).rng();
            let first: Vec<f64> = (0..DRAWS)
                .map(|_| dirichlet(PARTS, alpha, &mut rng)[0])
                .collect();
            let mean = first.iter().sum::<f64>() / DRAWS as f64;
            let variance = first
                .iter()
                .map(|share| (share - mean).powi(2))
                .sum::<f64>()
                / DRAWS as f64;
            // Mean 1/K and variance (K − 1) / (K²(Kα + 1)).
            let parts = PARTS as f64;
            let expected = (parts - 1.0) / (parts * parts * (parts * alpha + 1.0));
            assert!(
                (mean - 0.25).abs() < 5.0 * (expected / DRAWS as f64).sqrt(),
                "{alpha}: {mean}"
            );
            assert!(
                (variance / expected - 1.0).abs() < 0.06,
                "{alpha}: {variance} {expected}"
            );
        }
    }

    #[test]
    fn a_tiny_concentration_gives_all_to_one() {
        let shares = dirichlet(10, 1e-6, &mut Seed::from(1).rng());
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(shares.iter().any(|&share| share > 0.999));
    }

    #[test]
    fn ends_use_up_all_rows() {
        assert_eq!(ends(10, &[0.25, 0.25, 0.5]), [3, 5, 10]);
        assert_eq!(ends(3, &[1.0 / 3.0; 3]), [1, 2, 3]);
    }
}
