//! The exact integer sum of client updates: quantize, fold, merge, dequantize.
//!
//! Quantized values travel as little-endian `i32` bytes, at any alignment. Sums are `i64`, exact
//! while the weights add up to less than 2^32, and hence the same for any order of the clients.

use crate::simd::{Kernel, Simd, dispatch};
use thiserror::Error;

/// A value that has no place on the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("value {index} {kind}")]
pub struct Unquantizable {
    /// Its place in the update.
    pub index: usize,
    /// What is wrong with it.
    pub kind: Kind,
}

/// What is wrong with an unquantizable value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Kind {
    /// Not a number.
    #[error("is not a number")]
    NotANumber,
    /// An infinity.
    #[error("is infinite")]
    Infinite,
    /// Its quantized magnitude is above the limit.
    #[error("is larger than the limit")]
    TooLarge,
}

/// Writes `round_ties_even(x · 2^exponent)` as little-endian `i32`.
///
/// # Errors
/// [`Unquantizable`] for the first value that is not finite or whose quantized magnitude is above
/// `limit`; the content of `out` is then unspecified.
///
/// # Panics
/// If `out` is not four bytes a value, `limit` is negative, or `exponent` is above 127.
pub fn quantize(
    values: &[f32],
    exponent: u8,
    limit: i32,
    out: &mut [u8],
) -> Result<(), Unquantizable> {
    assert_eq!(out.len(), 4 * values.len());
    let grid = Grid::new(exponent, limit);
    let blocks = values
        .chunks(BLOCK)
        .zip(out.chunks_mut(4 * BLOCK))
        .enumerate();
    for (block, (values, out)) in blocks {
        if !dispatch(Quantize { grid, values, out }) {
            return Err(grid.culprit(values, block * BLOCK));
        }
    }
    Ok(())
}

/// `acc += weight · q`.
///
/// # Panics
/// If `q` is not four bytes a sum, or `weight` is above `i32::MAX`.
pub fn fold(acc: &mut [i64], q: &[u8], weight: u32) {
    assert_eq!(q.len(), 4 * acc.len());
    assert!(weight <= i32::MAX as u32);
    dispatch(Fold {
        acc,
        q,
        weight: weight as i32,
    });
}

/// `acc += weight · round_ties_even(x · 2^exponent)`: [`quantize`] and [`fold`] in one pass, for an
/// update that never leaves the process.
///
/// # Errors
/// [`Unquantizable`] as [`quantize`]; `acc` is then untouched.
///
/// # Panics
/// If the lengths differ, `limit` is negative, `exponent` is above 127, or `weight` is above
/// `i32::MAX`.
pub fn quantize_fold(
    acc: &mut [i64],
    values: &[f32],
    exponent: u8,
    limit: i32,
    weight: u32,
) -> Result<(), Unquantizable> {
    assert_eq!(values.len(), acc.len());
    assert!(weight <= i32::MAX as u32);
    let grid = Grid::new(exponent, limit);
    let weight = weight as i32;
    for first in (0..values.len()).step_by(BLOCK) {
        let done = values.len().min(first + BLOCK);
        let (acc_block, block) = (&mut acc[first..done], &values[first..done]);
        if !dispatch(QuantizeFold {
            grid,
            acc: acc_block,
            values: block,
            weight,
        }) {
            // Integer sums can be taken back exactly.
            dispatch(QuantizeFold {
                grid,
                acc: &mut acc[..done],
                values: &values[..done],
                weight: -weight,
            });
            return Err(grid.culprit(block, first));
        }
    }
    Ok(())
}

/// `acc += other`.
///
/// # Panics
/// If the lengths differ.
pub fn merge(acc: &mut [i64], other: &[i64]) {
    assert_eq!(acc.len(), other.len());
    dispatch(Merge { acc, other });
}

/// `out = acc · scale`, computed in `f64` and rounded once.
///
/// # Panics
/// If the lengths differ.
pub fn dequantize(acc: &[i64], scale: f64, out: &mut [f32]) {
    assert_eq!(acc.len(), out.len());
    dispatch(Dequantize { acc, scale, out });
}

/// Whether every quantized magnitude is at most `limit`.
///
/// # Panics
/// If `q` is not four bytes a value or `limit` is negative.
pub fn in_range(q: &[u8], limit: i32) -> bool {
    assert_eq!(q.len() % 4, 0);
    assert!(limit >= 0);
    let limit = limit.unsigned_abs();
    q.chunks(4 * BLOCK).all(|q| dispatch(InRange { q, limit }))
}

/// Values between two looks at whether all were fine; also what stays in the first-level cache.
const BLOCK: usize = 2048;

/// The integers on which values are rounded.
#[derive(Clone, Copy)]
struct Grid {
    /// `2^exponent`.
    scale: f32,
    /// The largest `f32` up to the limit: what compares with it as the limit does with integers.
    limit: f32,
}

impl Grid {
    fn new(exponent: u8, limit: i32) -> Self {
        assert!(exponent <= 127 && limit >= 0);
        let nearest = limit as f32;
        let above = nearest as i64 > i64::from(limit);
        Self {
            scale: f32::from_bits((u32::from(exponent) + 127) << 23),
            limit: if above { nearest.next_down() } else { nearest },
        }
    }

    /// The integer nearest to `x · scale`, and whether it is within the limit (if not, it is 0).
    ///
    /// Written in operations that every instruction set has for whole vectors: adding 2^23 with the
    /// sign of `x` and subtracting it again rounds ties to even, and from there on every `f32` is an
    /// integer.
    #[inline(always)]
    fn place(self, x: f32) -> (i32, bool) {
        let scaled = x * self.scale;
        let rounder = 8_388_608f32.copysign(scaled);
        let small = scaled.abs() < 8_388_608.0;
        let rounded = if small {
            (scaled + rounder) - rounder
        } else {
            scaled
        };
        let within = rounded.abs() <= self.limit; // not for a NaN
        let safe = if within { rounded } else { 0.0 };
        // SAFETY: `|safe| <= limit <= i32::MAX`.
        (unsafe { safe.to_int_unchecked() }, within)
    }

    /// The first value that has no place.
    #[cold]
    fn culprit(self, values: &[f32], first: usize) -> Unquantizable {
        let index = values.iter().position(|&x| !self.place(x).1).unwrap_or(0);
        let kind = match values[index] {
            x if x.is_nan() => Kind::NotANumber,
            x if x.is_infinite() => Kind::Infinite,
            _ => Kind::TooLarge,
        };
        Unquantizable {
            index: first + index,
            kind,
        }
    }
}

struct Quantize<'a> {
    grid: Grid,
    values: &'a [f32],
    out: &'a mut [u8],
}

impl Kernel for Quantize<'_> {
    type Output = bool;
    #[inline(always)]
    fn run<S: Simd>(self) -> bool {
        let mut fine = true;
        for (&x, out) in self.values.iter().zip(self.out.as_chunks_mut::<4>().0) {
            let (q, within) = self.grid.place(x);
            *out = q.to_le_bytes();
            fine &= within;
        }
        fine
    }
}

struct Fold<'a> {
    acc: &'a mut [i64],
    q: &'a [u8],
    weight: i32,
}

impl Kernel for Fold<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let q = self.q.as_chunks::<4>().0;
        for (acc, q) in self.acc.iter_mut().zip(q) {
            *acc += i64::from(self.weight) * i64::from(i32::from_le_bytes(*q));
        }
    }
}

struct QuantizeFold<'a> {
    grid: Grid,
    acc: &'a mut [i64],
    values: &'a [f32],
    weight: i32,
}

impl Kernel for QuantizeFold<'_> {
    type Output = bool;
    #[inline(always)]
    fn run<S: Simd>(self) -> bool {
        let mut fine = true;
        for (acc, &x) in self.acc.iter_mut().zip(self.values) {
            let (q, within) = self.grid.place(x);
            *acc += i64::from(self.weight) * i64::from(q);
            fine &= within;
        }
        fine
    }
}

struct Merge<'a> {
    acc: &'a mut [i64],
    other: &'a [i64],
}

impl Kernel for Merge<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (acc, other) in self.acc.iter_mut().zip(self.other) {
            *acc += other;
        }
    }
}

struct Dequantize<'a> {
    acc: &'a [i64],
    scale: f64,
    out: &'a mut [f32],
}

impl Kernel for Dequantize<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (out, &acc) in self.out.iter_mut().zip(self.acc) {
            *out = (acc as f64 * self.scale) as f32;
        }
    }
}

struct InRange<'a> {
    q: &'a [u8],
    limit: u32,
}

impl Kernel for InRange<'_> {
    type Output = bool;
    #[inline(always)]
    fn run<S: Simd>(self) -> bool {
        let mut fine = true;
        for &q in self.q.as_chunks::<4>().0 {
            fine &= i32::from_le_bytes(q).unsigned_abs() <= self.limit;
        }
        fine
    }
}
