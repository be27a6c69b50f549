//! Integer sums over the rows of any number of clients: merged in any order with the same result.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::{PrepareError, PrepareSpec, Statistic};
use crate::wide::MAX_NUMBERS;

/// Sums of the columns of a [`PrepareSpec`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareSums {
    pub(super) clients: i64,
    pub(super) rows: i64,
    pub(super) columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Column {
    Moments(Moments),
    Levels(BTreeMap<String, i64>),
}

/// Exact sums of numbers and their squares, in limbs of 32 bits.
///
/// A number is rounded to a multiple of 2^-64 (an `f32` of at least 2^-40 is one already) and its square kept
/// in full, so that a mean and a deviation lose nothing to cancellation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Moments {
    pub(super) count: i64,
    /// Units of 2^-64.
    pub(super) sum: [i64; 4],
    /// Units of 2^-128.
    pub(super) squares: [i64; 8],
}

impl PrepareSums {
    /// Sums over nobody.
    pub fn zero(spec: &PrepareSpec) -> Self {
        let columns = spec.columns.iter().map(|column| match column.statistic {
            Statistic::Moments => Column::Moments(Moments::default()),
            Statistic::Levels => Column::Levels(BTreeMap::new()),
        });
        Self {
            clients: 0,
            rows: 0,
            columns: columns.collect(),
        }
    }

    /// Sums of one client with `rows` rows, whose values are still to be observed.
    pub fn of_client(spec: &PrepareSpec, rows: u32) -> Self {
        Self {
            clients: 1,
            rows: rows.into(),
            ..Self::zero(spec)
        }
    }

    /// Clients summed up.
    pub fn clients(&self) -> u64 {
        self.clients as u64
    }

    /// Rows summed up.
    pub fn rows(&self) -> u64 {
        self.rows as u64
    }

    /// Counts a number of the column at `index`. On an error nothing was counted.
    ///
    /// # Errors
    /// A number that is not finite or at least 2^64, or another statistic.
    pub fn observe_number(
        &mut self,
        spec: &PrepareSpec,
        index: usize,
        value: f32,
    ) -> Result<(), PrepareError> {
        match self.columns.get_mut(index) {
            None => Err(no_such_column(spec, index)),
            Some(Column::Levels(_)) => Err(PrepareError::OtherStatistic {
                column: name(spec, index),
            }),
            Some(Column::Moments(moments)) => {
                if !value.is_finite() || value.abs() >= 18_446_744_073_709_551_616.0 {
                    return Err(PrepareError::OutOfRange {
                        column: name(spec, index),
                    });
                }
                if moments.count >= MAX_NUMBERS {
                    return Err(PrepareError::TooMany {
                        column: name(spec, index),
                    });
                }
                moments.observe(value);
                Ok(())
            }
        }
    }

    /// Counts a text of the column at `index`. On an error nothing was counted.
    ///
    /// # Errors
    /// A text that is too long, one distinct text too many, or another statistic.
    pub fn observe_level(
        &mut self,
        spec: &PrepareSpec,
        index: usize,
        level: &str,
    ) -> Result<(), PrepareError> {
        self.observe_levels(spec, index, level, 1)
    }

    /// Counts a text that occurs `times` times in the column at `index`; 0 makes it known and counts nothing.
    /// On an error nothing was counted.
    ///
    /// # Errors
    /// As [`Self::observe_level`].
    pub fn observe_levels(
        &mut self,
        spec: &PrepareSpec,
        index: usize,
        level: &str,
        times: u32,
    ) -> Result<(), PrepareError> {
        match self.columns.get_mut(index) {
            None => Err(no_such_column(spec, index)),
            Some(Column::Moments(_)) => Err(PrepareError::OtherStatistic {
                column: name(spec, index),
            }),
            Some(Column::Levels(levels)) => {
                if level.len() > PrepareSpec::MAX_LEVEL_BYTES {
                    return Err(PrepareError::LongLevel {
                        column: name(spec, index),
                    });
                }
                if levels.len() >= PrepareSpec::MAX_LEVELS && !levels.contains_key(level) {
                    return Err(many_levels(spec, index, PrepareSpec::MAX_LEVELS));
                }
                add_level(levels, level, times.into());
                Ok(())
            }
        }
    }

    /// Adds the clients of `other`. On an error nothing was added.
    ///
    /// # Errors
    /// Sums of another spec, or too many levels or values together.
    pub fn merge(&mut self, spec: &PrepareSpec, other: &Self) -> Result<(), PrepareError> {
        self.can_merge(spec, other)?;
        for pair in self.columns.iter_mut().zip(&other.columns) {
            match pair {
                (Column::Moments(moments), Column::Moments(other)) => moments.merge(other),
                (Column::Levels(levels), Column::Levels(other)) => {
                    for (level, &count) in other {
                        add_level(levels, level, count);
                    }
                }
                // Unequal columns cannot be merged.
                _ => {}
            }
        }
        self.clients += other.clients;
        self.rows += other.rows;
        Ok(())
    }

    fn can_merge(&self, spec: &PrepareSpec, other: &Self) -> Result<(), PrepareError> {
        if other.columns.len() != self.columns.len() {
            return Err(PrepareError::OtherColumns);
        }
        for (index, pair) in self.columns.iter().zip(&other.columns).enumerate() {
            match pair {
                (Column::Moments(moments), Column::Moments(other)) => {
                    if moments.count + other.count > MAX_NUMBERS {
                        return Err(PrepareError::TooMany {
                            column: name(spec, index),
                        });
                    }
                }
                (Column::Levels(levels), Column::Levels(other)) => {
                    let is_new = |level: &&String| !levels.contains_key(*level);
                    let together = levels.len() + other.keys().filter(is_new).count();
                    if together > PrepareSpec::MAX_LEVELS_TOGETHER {
                        return Err(many_levels(spec, index, PrepareSpec::MAX_LEVELS_TOGETHER));
                    }
                }
                _ => return Err(PrepareError::OtherColumns),
            }
        }
        Ok(())
    }

    /// Refuses sums over more than `most` numbers in a column.
    pub(crate) fn within(self, spec: &PrepareSpec, most: i64) -> Result<Self, PrepareError> {
        let is_above =
            |column: &Column| matches!(column, Column::Moments(moments) if moments.count > most);
        match self.columns.iter().position(is_above) {
            None => Ok(self),
            Some(index) => Err(PrepareError::Share {
                column: name(spec, index),
                most: most as u64,
            }),
        }
    }
}

pub(super) fn name(spec: &PrepareSpec, index: usize) -> String {
    spec.columns
        .get(index)
        .map(|column| column.name.clone())
        .unwrap_or_default()
}

fn no_such_column(spec: &PrepareSpec, index: usize) -> PrepareError {
    PrepareError::NoSuchColumn {
        columns: spec.columns.len(),
        index,
    }
}

pub(super) fn many_levels(spec: &PrepareSpec, index: usize, most: usize) -> PrepareError {
    PrepareError::ManyLevels {
        column: name(spec, index),
        most,
    }
}

fn add_level(levels: &mut BTreeMap<String, i64>, level: &str, count: i64) {
    match levels.get_mut(level) {
        Some(sum) => *sum = sum.saturating_add(count),
        None => drop(levels.insert(level.into(), count)),
    }
}

impl Moments {
    fn observe(&mut self, value: f32) {
        let (mantissa, shift) = fixed(value);
        let sign = if value < 0.0 { -1 } else { 1 };
        self.count += 1;
        add_shifted(&mut self.sum, mantissa, shift, sign);
        add_shifted(&mut self.squares, mantissa * mantissa, 2 * shift, 1);
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum
            .iter_mut()
            .zip(other.sum)
            .for_each(|(sum, other)| *sum += other);
        self.squares
            .iter_mut()
            .zip(other.squares)
            .for_each(|(sum, other)| *sum += other);
    }
}

/// |value| in units of 2^-64 as `mantissa · 2^shift`, the mantissa below 2^25.
fn fixed(value: f32) -> (u64, u32) {
    let bits = value.to_bits();
    let (biased, fraction) = (bits >> 23 & 0xff, u64::from(bits & 0x7f_ffff));
    // value = mantissa · 2^exponent, in units of 2^-64.
    let exponent = biased.max(1) as i32 - 150 + 64;
    let mantissa = if biased == 0 {
        fraction
    } else {
        fraction | 1 << 23
    };
    match u32::try_from(exponent) {
        Ok(shift) => (mantissa, shift),
        Err(_) if exponent < -25 => (0, 0),
        Err(_) => (round_shift(mantissa, exponent.unsigned_abs()), 0),
    }
}

/// `value / 2^shift`, to the nearest, ties to even. `shift` is from 1 to 25.
fn round_shift(value: u64, shift: u32) -> u64 {
    let (floor, rest) = (value >> shift, value & ((1 << shift) - 1));
    let half = 1 << (shift - 1);
    floor + u64::from(rest > half || (rest == half && floor & 1 == 1))
}

/// Adds `sign · value · 2^shift` to limbs, without carries between them. `value` is below 2^50.
fn add_shifted(limbs: &mut [i64], value: u64, shift: u32, sign: i64) {
    let mut rest = u128::from(value) << (shift % 32);
    for limb in limbs.iter_mut().skip(shift as usize / 32) {
        *limb += sign * (rest & 0xffff_ffff) as i64;
        rest >>= 32;
    }
}
