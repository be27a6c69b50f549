//! Rows of stored bytes as scaled numbers.

use crate::Real;

/// Writes `out = scale · x + offset` for the given rows of `width` bytes, in their order.
///
/// # Panics
/// If `out` is not `rows.len() · width` long or a row lies outside `bytes`.
pub fn gather_rows<T: Real>(
    bytes: &[u8],
    width: usize,
    rows: &[u32],
    scale: T,
    offset: T,
    out: &mut [T],
) {
    assert_eq!(out.len(), rows.len() * width);
    for (i, &row) in rows.iter().enumerate() {
        let from = &bytes[row as usize * width..][..width];
        for (out, &x) in out[i * width..][..width].iter_mut().zip(from) {
            *out = scale * T::from_f32(f32::from(x)) + offset;
        }
    }
}
