//! The sums as bytes: what a client reports for a `prepare` task.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::sums::{Column, Moments, PrepareSums, many_levels, name};
use super::{PrepareError, PrepareSpec, Statistic};
use crate::reader::{Reader, Truncated};
use crate::wide::MAX_NUMBERS;

impl From<Truncated> for PrepareError {
    fn from(truncated: Truncated) -> Self {
        Self::Malformed { at: truncated.at }
    }
}

impl PrepareSums {
    /// Appends the sums: clients, rows, then each column's, all little-endian.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        let mut number = |value: i64| bytes.extend(value.to_le_bytes());
        number(self.clients);
        number(self.rows);
        for column in &self.columns {
            match column {
                Column::Moments(moments) => {
                    bytes.extend(moments.count.to_le_bytes());
                    let limbs = moments.sum.iter().chain(&moments.squares);
                    limbs.for_each(|limb| bytes.extend(limb.to_le_bytes()));
                }
                Column::Levels(levels) => {
                    bytes.extend((levels.len() as u32).to_le_bytes());
                    for (level, count) in levels {
                        bytes.extend((level.len() as u16).to_le_bytes());
                        bytes.extend(level.as_bytes());
                        bytes.extend(count.to_le_bytes());
                    }
                }
            }
        }
    }

    /// The sums of one client, from bytes that it sent.
    ///
    /// # Errors
    /// Bytes that break off or go on, levels out of order, or sums that no rows could have given.
    pub fn parse(spec: &PrepareSpec, bytes: &[u8]) -> Result<Self, PrepareError> {
        let mut reader = Reader::new(bytes);
        let (clients, rows) = (reader.i64()?, reader.i64()?);
        if clients != 1 || !(0..=i64::from(u32::MAX)).contains(&rows) {
            return Err(PrepareError::Malformed { at: 0 });
        }
        let mut columns = Vec::with_capacity(spec.columns.len());
        for (index, column) in spec.columns.iter().enumerate() {
            columns.push(match column.statistic {
                Statistic::Moments => {
                    let moments = moments(&mut reader)?;
                    let inconsistent = || PrepareError::Inconsistent {
                        column: name(spec, index),
                    };
                    moments
                        .is_possible()
                        .then_some(())
                        .ok_or_else(inconsistent)?;
                    Column::Moments(moments)
                }
                Statistic::Levels => Column::Levels(levels(&mut reader, spec, index)?),
            });
        }
        match reader.left() {
            0 => Ok(Self {
                clients,
                rows,
                columns,
            }),
            _ => Err(PrepareError::Malformed { at: reader.at() }),
        }
    }
}

fn moments(reader: &mut Reader<'_>) -> Result<Moments, PrepareError> {
    let mut moments = Moments {
        count: reader.i64()?,
        ..Moments::default()
    };
    for limb in moments.sum.iter_mut().chain(&mut moments.squares) {
        *limb = reader.i64()?;
    }
    Ok(moments)
}

impl Moments {
    /// Whether `count` numbers could have given the limbs, which then cannot overflow when merged.
    fn is_possible(&self) -> bool {
        (0..=MAX_NUMBERS).contains(&self.count) && {
            let largest = self.count * 0xffff_ffff;
            self.sum
                .iter()
                .all(|limb| (-largest..=largest).contains(limb))
                && self.squares.iter().all(|limb| (0..=largest).contains(limb))
        }
    }
}

fn levels(
    reader: &mut Reader<'_>,
    spec: &PrepareSpec,
    index: usize,
) -> Result<BTreeMap<String, i64>, PrepareError> {
    let count = reader.u32()?;
    if count as usize > PrepareSpec::MAX_LEVELS {
        return Err(many_levels(spec, index, PrepareSpec::MAX_LEVELS));
    }
    let mut levels = BTreeMap::new();
    for _ in 0..count {
        let at = reader.at();
        let len = usize::from(reader.u16()?);
        if len > PrepareSpec::MAX_LEVEL_BYTES {
            return Err(PrepareError::LongLevel {
                column: name(spec, index),
            });
        }
        let text = core::str::from_utf8(reader.take(len)?);
        let level = text.map_err(|_| PrepareError::Malformed { at })?;
        let rows = reader.i64()?;
        let after = levels
            .last_key_value()
            .is_none_or(|(last, _): (&String, _)| last.as_str() < level);
        if !after || !(0..=i64::from(u32::MAX)).contains(&rows) {
            return Err(PrepareError::Malformed { at });
        }
        levels.insert(level.into(), rows);
    }
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use std::vec;

    use proptest::prelude::*;

    use super::super::ColumnSpec;
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

    fn bytes() -> Vec<u8> {
        let mut sums = PrepareSums::of_client(&spec(), 2);
        sums.observe_number(&spec(), 0, -1.5).unwrap();
        sums.observe_level(&spec(), 1, "f").unwrap();
        sums.observe_level(&spec(), 1, "m").unwrap();
        let mut bytes = Vec::new();
        sums.write(&mut bytes);
        assert_eq!(PrepareSums::parse(&spec(), &bytes), Ok(sums));
        bytes
    }

    #[test]
    fn sums_that_break_off_anywhere_are_refused() {
        let whole = bytes();
        for len in 0..whole.len() {
            let refused = PrepareSums::parse(&spec(), &whole[..len]);
            assert!(
                matches!(refused, Err(PrepareError::Malformed { .. })),
                "{len} bytes"
            );
        }
        let longer = [&whole[..], &[0]].concat();
        let at = whole.len();
        assert_eq!(
            PrepareSums::parse(&spec(), &longer),
            Err(PrepareError::Malformed { at })
        );
    }

    #[test]
    fn limbs_that_no_rows_could_give_are_refused() {
        let mut lying = bytes();
        lying[24..32].copy_from_slice(&i64::MAX.to_le_bytes());
        let error = PrepareError::Inconsistent {
            column: "age".into(),
        };
        assert_eq!(PrepareSums::parse(&spec(), &lying), Err(error));
    }

    #[test]
    fn a_client_that_claims_more_than_its_share_of_numbers_is_refused() {
        let mut sums = PrepareSums::of_client(&spec(), 2);
        let Column::Moments(moments) = &mut sums.columns[0] else {
            panic!("age has moments")
        };
        moments.count = 100;
        assert_eq!(sums.clone().within(&spec(), 100), Ok(sums.clone()));
        let error = PrepareError::Share {
            column: "age".into(),
            most: 99,
        };
        assert_eq!(sums.within(&spec(), 99), Err(error));
    }

    #[test]
    fn levels_out_of_order_are_refused() {
        let mut swapped = bytes();
        let len = swapped.len();
        // Each level is 2 + 1 + 8 bytes; the text is the third.
        swapped[len - 22 + 2] = b'm';
        swapped[len - 11 + 2] = b'f';
        assert!(PrepareSums::parse(&spec(), &swapped).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = PrepareSums::parse(&spec(), &bytes);
        }
    }
}
