//! A number over several seeds: mean, deviation and the interval that the mean is known to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Mean of independent runs with its 95 % confidence interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (divisor `n − 1`); none for one value.
    pub deviation: Option<f64>,
    /// Half width of the 95 % interval of the mean, by Student's t; none for one value.
    pub interval: Option<f64>,
    /// The values, in the order of the seeds.
    pub values: Vec<f64>,
}

impl Spread {
    /// The spread of `values`; none if there are none.
    #[must_use]
    pub fn of(values: Vec<f64>) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let deviation = (values.len() > 1).then(|| {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / (count - 1.0)).sqrt()
        });
        let interval =
            deviation.map(|deviation| student_t_95(values.len() - 1) * deviation / count.sqrt());
        Some(Self {
            mean,
            deviation,
            interval,
            values,
        })
    }

    /// Each metric over several records; one that a record lacks is left out.
    #[must_use]
    pub fn of_each<'a>(
        records: impl Iterator<Item = &'a BTreeMap<String, f64>> + Clone,
    ) -> BTreeMap<String, Self> {
        let Some(first) = records.clone().next() else {
            return BTreeMap::new();
        };
        let spread = |name: &String| {
            let values = records.clone().map(|record| record.get(name).copied());
            Self::of(values.collect::<Option<_>>()?)
        };
        first
            .keys()
            .filter_map(|name| Some((name.clone(), spread(name)?)))
            .collect()
    }
}

/// Two-sided 95 % quantile of Student's t with `freedom` ≥ 1 degrees of freedom.
///
/// Tabled to 10; beyond, the Cornish–Fisher expansion about the normal quantile (Abramowitz and
/// Stegun, 26.7.5), whose error is then below 10⁻⁴.
fn student_t_95(freedom: usize) -> f64 {
    const TABLE: [f64; 10] = [
        12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    ];
    if let Some(&quantile) = TABLE.get(freedom.saturating_sub(1)) {
        return quantile;
    }
    let z = 1.959_964_f64;
    let v = freedom as f64;
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    let fourth = (79.0 * z.powi(9) + 776.0 * z.powi(7) + 1482.0 * z.powi(5)
        - 1920.0 * z.powi(3)
        - 945.0 * z)
        / 92_160.0;
    z + first / v + second / v.powi(2) + third / v.powi(3) + fourth / v.powi(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_no_interval() {
        let spread = Spread::of(vec![0.5]).unwrap();
        assert_eq!(
            (spread.mean, spread.deviation, spread.interval),
            (0.5, None, None)
        );
        assert_eq!(Spread::of(vec![]), None);
    }

    #[test]
    fn the_interval_of_three_values_uses_two_degrees_of_freedom() {
        let spread = Spread::of(vec![1.0, 2.0, 3.0]).unwrap();
        assert_eq!((spread.mean, spread.deviation), (2.0, Some(1.0)));
        assert!((spread.interval.unwrap() - 4.3027 / 3f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn quantiles_beyond_the_table_are_those_of_printed_tables() {
        for (freedom, printed) in [
            (11, 2.2010),
            (15, 2.1314),
            (20, 2.0860),
            (30, 2.0423),
            (120, 1.9799),
        ] {
            assert!((student_t_95(freedom) - printed).abs() < 1e-4, "{freedom}");
        }
    }
}
