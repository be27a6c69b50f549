//! The exact integer sum of client updates: quantize, fold, merge, dequantize.
//!
//! Quantized values travel as little-endian `i32` bytes, at any alignment. Sums are `i64`, exact
//! while the weights add up to less than 2^32, and hence the same for any order of the clients.

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
    for (index, (&x, out)) in values.iter().zip(out.chunks_exact_mut(4)).enumerate() {
        let q = grid(x, exponent, limit).map_err(|kind| Unquantizable { index, kind })?;
        out.copy_from_slice(&q.to_le_bytes());
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
    for (acc, q) in acc.iter_mut().zip(q.chunks_exact(4)) {
        *acc += i64::from(weight) * i64::from(i32::from_le_bytes([q[0], q[1], q[2], q[3]]));
    }
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
    for (index, &x) in values.iter().enumerate() {
        grid(x, exponent, limit).map_err(|kind| Unquantizable { index, kind })?;
    }
    for (acc, &x) in acc.iter_mut().zip(values) {
        let q = grid(x, exponent, limit).unwrap_or(0);
        *acc += i64::from(weight) * i64::from(q);
    }
    Ok(())
}

/// `acc += other`.
///
/// # Panics
/// If the lengths differ.
pub fn merge(acc: &mut [i64], other: &[i64]) {
    assert_eq!(acc.len(), other.len());
    for (acc, other) in acc.iter_mut().zip(other) {
        *acc += other;
    }
}

/// `out = acc · scale`, computed in `f64` and rounded once.
///
/// # Panics
/// If the lengths differ.
pub fn dequantize(acc: &[i64], scale: f64, out: &mut [f32]) {
    assert_eq!(acc.len(), out.len());
    for (out, &acc) in out.iter_mut().zip(acc) {
        *out = (acc as f64 * scale) as f32;
    }
}

/// Whether every quantized magnitude is at most `limit`.
///
/// # Panics
/// If `q` is not four bytes a value or `limit` is negative.
pub fn in_range(q: &[u8], limit: i32) -> bool {
    assert_eq!(q.len() % 4, 0);
    assert!(limit >= 0);
    let limit = limit.unsigned_abs();
    q.chunks_exact(4)
        .all(|q| i32::from_le_bytes([q[0], q[1], q[2], q[3]]).unsigned_abs() <= limit)
}

/// One value on the grid.
fn grid(x: f32, exponent: u8, limit: i32) -> Result<i32, Kind> {
    assert!(limit >= 0);
    let scaled = (x * power_of_two(exponent)).round_ties_even();
    if x.is_nan() {
        Err(Kind::NotANumber)
    } else if x.is_infinite() {
        Err(Kind::Infinite)
    } else if scaled.abs() >= 2_147_483_648.0 || (scaled as i32).abs() > limit {
        Err(Kind::TooLarge)
    } else {
        Ok(scaled as i32)
    }
}

/// `2^exponent`.
fn power_of_two(exponent: u8) -> f32 {
    assert!(exponent <= 127);
    f32::from_bits((u32::from(exponent) + 127) << 23)
}
