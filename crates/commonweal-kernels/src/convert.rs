//! Rows of stored bytes as scaled numbers.

use crate::Real;
use crate::simd::{Kernel, Simd, dispatch};

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
    dispatch(GatherRows {
        bytes,
        width,
        rows,
        scale,
        offset,
        out,
    });
}

struct GatherRows<'a, T> {
    bytes: &'a [u8],
    width: usize,
    rows: &'a [u32],
    scale: T,
    offset: T,
    out: &'a mut [T],
}

impl<T: Real> Kernel for GatherRows<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (i, &row) in self.rows.iter().enumerate() {
            let from = &self.bytes[row as usize * self.width..][..self.width];
            for (out, &x) in self.out[i * self.width..][..self.width]
                .iter_mut()
                .zip(from)
            {
                *out = self.scale * T::from_f32(f32::from(x)) + self.offset;
            }
        }
    }
}
