//! What `prepare` found: a record that every plan is bound to.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::sums::{Column, Moments, PrepareSums, name};
use super::{PrepareError, PrepareSpec};
use crate::wide::Wide;
use crate::{Digest, DigestWriter};

/// What `prepare` found over all clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prepared {
    /// The manifest whose data was summed up.
    pub manifest: Digest,
    /// Clients that took part.
    pub clients: u64,
    /// Their rows.
    pub rows: u64,
    /// The columns, in the spec's order.
    pub columns: Vec<ColumnFound>,
}

/// What was found in one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnFound {
    /// The column's name.
    pub name: String,
    /// What was found.
    pub found: Found,
}

/// A statistic's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// Of a column of numbers.
    Moments {
        /// Numbers present; fewer than rows if some are missing.
        count: u64,
        /// Their mean, in the column's unit. 0 if there are none.
        mean: f64,
        /// Their population standard deviation, in the column's unit.
        deviation: f64,
    },
    /// Of a column of texts: each distinct text with its count, in byte order.
    Levels(Vec<(String, u64)>),
}

impl PrepareSums {
    /// What these sums say about the data of `manifest`.
    ///
    /// # Errors
    /// The sums are of another spec, or there was not one row.
    pub fn finish(&self, spec: &PrepareSpec, manifest: Digest) -> Result<Prepared, PrepareError> {
        if self.columns.len() != spec.columns.len() {
            return Err(PrepareError::OtherColumns);
        }
        if self.rows <= 0 {
            return Err(PrepareError::NoRows);
        }
        let columns = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| ColumnFound {
                name: name(spec, index),
                found: match column {
                    Column::Moments(moments) => moments.found(),
                    Column::Levels(levels) => Found::Levels(
                        levels
                            .iter()
                            .map(|(level, &n)| (level.clone(), n as u64))
                            .collect(),
                    ),
                },
            });
        let (clients, rows) = (self.clients as u64, self.rows as u64);
        Ok(Prepared {
            manifest,
            clients,
            rows,
            columns: columns.collect(),
        })
    }
}

impl Moments {
    fn found(&self) -> Found {
        let count = self.count as u64;
        if count == 0 {
            return Found::Moments {
                count,
                mean: 0.0,
                deviation: 0.0,
            };
        }
        let sum = Wide::from_limbs(&self.sum);
        // count · Σx² − (Σx)², exact: nothing cancels however far the mean is from 0.
        let squares = Wide::from_limbs(&self.squares).times(count as u32);
        let spread = squares.saturating_sub(&sum.square()).to_f64();
        Found::Moments {
            count,
            mean: libm::ldexp(sum.to_f64() / count as f64, -64),
            deviation: libm::ldexp(libm::sqrt(spread) / count as f64, -64),
        }
    }
}

impl Prepared {
    /// What was found in the column of this name.
    pub fn column(&self, name: &str) -> Option<&Found> {
        self.columns
            .iter()
            .find(|column| column.name == name)
            .map(|column| &column.found)
    }

    /// The identity of this record: it covers the manifest, and plans and signatures bind it.
    pub fn digest(&self) -> Digest {
        let mut writer = DigestWriter::new("commonweal/prepared/1");
        writer.bytes(self.manifest.as_bytes());
        writer.number(self.clients);
        writer.number(self.rows);
        writer.number(self.columns.len() as u64);
        for column in &self.columns {
            writer.field(column.name.as_bytes());
            match &column.found {
                Found::Moments {
                    count,
                    mean,
                    deviation,
                } => {
                    writer.number(1);
                    writer.number(*count);
                    writer.number(mean.to_bits());
                    writer.number(deviation.to_bits());
                }
                Found::Levels(levels) => {
                    writer.number(2);
                    writer.number(levels.len() as u64);
                    for (level, count) in levels {
                        writer.field(level.as_bytes());
                        writer.number(*count);
                    }
                }
            }
        }
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{format, vec};

    use proptest::prelude::*;

    use super::super::{ColumnSpec, Statistic};
    use super::*;

    fn spec() -> PrepareSpec {
        let column = |name: &str, statistic| ColumnSpec {
            name: name.into(),
            statistic,
        };
        PrepareSpec {
            columns: vec![
                column("age", Statistic::Moments),
                column("sex", Statistic::Levels),
            ],
        }
    }

    fn sums(ages: &[f32], sexes: &[&str]) -> PrepareSums {
        let spec = spec();
        let mut sums = PrepareSums::of_client(&spec, ages.len() as u32);
        ages.iter()
            .for_each(|&age| sums.observe_number(&spec, 0, age).unwrap());
        sexes
            .iter()
            .for_each(|sex| sums.observe_level(&spec, 1, sex).unwrap());
        sums
    }

    fn moments(sums: &PrepareSums) -> (u64, f64, f64) {
        let prepared = sums.finish(&spec(), Digest::of(b"job")).unwrap();
        match prepared.columns[0].found {
            Found::Moments {
                count,
                mean,
                deviation,
            } => (count, mean, deviation),
            Found::Levels(_) => panic!("age has moments"),
        }
    }

    #[test]
    fn what_two_clients_hold_is_found_as_if_one_held_it() {
        let mut all = sums(&[1.0, 2.0], &["f", "m"]);
        all.merge(&spec(), &sums(&[6.0], &["f"])).unwrap();
        let found = all.finish(&spec(), Digest::of(b"job")).unwrap();
        assert_eq!((found.clients, found.rows), (2, 3));
        assert_eq!(moments(&all), (3, 3.0, libm::sqrt(14.0 / 3.0)));
        let levels = vec![("f".into(), 2), ("m".into(), 1)];
        assert_eq!(found.column("sex"), Some(&Found::Levels(levels)));
    }

    #[test]
    fn levels_that_one_client_makes_up_leave_room_for_those_of_the_others() {
        let levels = |prefix: &str| {
            let mut sums = PrepareSums::of_client(&spec(), 1);
            for level in 0..PrepareSpec::MAX_LEVELS {
                let level = format!("{prefix}{level}");
                sums.observe_level(&spec(), 1, &level).unwrap();
            }
            sums
        };
        let mut all = levels("made up ");
        all.merge(&spec(), &levels("honest ")).unwrap();
        let whole = all.clone();
        let other = sums(&[1.0], &["f", "m"]);
        let error = PrepareError::ManyLevels {
            column: "sex".into(),
            most: PrepareSpec::MAX_LEVELS_TOGETHER,
        };
        assert_eq!(all.merge(&spec(), &other), Err(error));
        assert_eq!(all, whole, "nothing of a refused merge is added");
    }

    #[test]
    fn a_deviation_is_exact_far_from_zero() {
        // In f64, Σx² − (Σx)²/n of these loses every digit.
        let (_, mean, deviation) = moments(&sums(&[1e15, 1e15 + 134_217_728.0], &[]));
        assert_eq!(f64::from(1e15_f32) + 67_108_864.0, mean);
        assert_eq!(deviation, 67_108_864.0);
    }

    #[test]
    fn negative_numbers_and_tiny_ones_count() {
        assert_eq!(moments(&sums(&[-3.0, 1.0], &[])), (2, -1.0, 2.0));
        let tiny = 2.0_f32.powi(-64);
        assert_eq!(moments(&sums(&[tiny, tiny], &[])), (2, tiny.into(), 0.0));
        assert_eq!(moments(&sums(&[tiny / 4.0], &[])), (1, 0.0, 0.0));
    }

    #[test]
    fn numbers_that_are_none_are_refused_and_not_counted() {
        let mut refused = sums(&[1.0], &[]);
        for value in [f32::NAN, f32::INFINITY, -1.9e19] {
            let error = PrepareError::OutOfRange {
                column: "age".into(),
            };
            assert_eq!(refused.observe_number(&spec(), 0, value), Err(error));
        }
        assert_eq!(refused, sums(&[1.0], &[]));
    }

    #[test]
    fn the_digest_names_the_manifest_and_every_number() {
        let digest =
            |sums: &PrepareSums, job| sums.finish(&spec(), Digest::of(job)).unwrap().digest();
        let first = digest(&sums(&[1.0], &["f"]), b"job");
        assert_ne!(first, digest(&sums(&[1.0], &["f"]), b"other"));
        assert_ne!(first, digest(&sums(&[1.5], &["f"]), b"job"));
        assert_ne!(first, digest(&sums(&[1.0], &["m"]), b"job"));
        assert_eq!(first, digest(&sums(&[1.0], &["f"]), b"job"));
    }

    proptest! {
        #[test]
        fn merging_sums_equals_one_sum_for_every_cut(
            ages in proptest::collection::vec(-1e9_f32..1e9, 1..20),
            cut in 0_usize..20,
        ) {
            let cut = cut.min(ages.len());
            let mut merged = sums(&ages[..cut], &[]);
            merged.merge(&spec(), &sums(&ages[cut..], &[])).unwrap();
            prop_assert_eq!(moments(&merged), moments(&sums(&ages, &[])));
        }

        #[test]
        fn moments_agree_with_two_passes_in_f64(
            ages in proptest::collection::vec(-1e6_f32..1e6, 1..50),
        ) {
            let (count, mean, deviation) = moments(&sums(&ages, &[]));
            let n = count as f64;
            let naive = ages.iter().map(|&age| f64::from(age)).sum::<f64>() / n;
            let spread = ages.iter().map(|&age| (f64::from(age) - naive).powi(2)).sum::<f64>() / n;
            prop_assert!((mean - naive).abs() <= 1e-9);
            prop_assert!((deviation - spread.sqrt()).abs() <= 1e-9 * (1.0 + spread.sqrt()));
        }
    }
}
