//! Norms and linear combinations of flat vectors.

use crate::simd::{Kernel, Simd, dispatch};

/// `Σ x²`, summed in `f64`; the same bits on every instruction set.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    dispatch(SumOfSquares { x })
}

/// `x ← factor · x`.
pub fn scale(x: &mut [f32], factor: f32) {
    dispatch(Scale { x, factor });
}

/// Whether no value is NaN or infinite.
pub fn all_finite(x: &[f32]) -> bool {
    x.chunks(4096).all(|x| dispatch(AllFinite { x }))
}

/// `out = local − global`.
///
/// # Panics
/// If the lengths differ.
pub fn subtract(local: &[f32], global: &[f32], out: &mut [f32]) {
    assert!(local.len() == global.len() && local.len() == out.len());
    dispatch(Subtract { local, global, out });
}

/// `y ← y + factor · x`, rounded after the product and after the sum.
///
/// # Panics
/// If the lengths differ.
pub fn axpy(factor: f32, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len());
    dispatch(Axpy { factor, x, y });
}

struct SumOfSquares<'a> {
    x: &'a [f32],
}

impl Kernel for SumOfSquares<'_> {
    type Output = f64;
    #[inline(always)]
    fn run<S: Simd>(self) -> f64 {
        // A fixed number of partial sums, whatever the width of a vector.
        let mut sums = [0.0; 32];
        let (chunks, rest) = self.x.as_chunks::<32>();
        for chunk in chunks {
            for (sum, &x) in sums.iter_mut().zip(chunk) {
                // Exact: the square of a `f32` fits a `f64`.
                *sum += f64::from(x) * f64::from(x);
            }
        }
        for (sum, &x) in sums.iter_mut().zip(rest) {
            *sum += f64::from(x) * f64::from(x);
        }
        let mut width = 16;
        while width > 0 {
            for i in 0..width {
                sums[i] += sums[i + width];
            }
            width /= 2;
        }
        sums[0]
    }
}

struct Scale<'a> {
    x: &'a mut [f32],
    factor: f32,
}

impl Kernel for Scale<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for x in self.x {
            *x *= self.factor;
        }
    }
}

struct AllFinite<'a> {
    x: &'a [f32],
}

impl Kernel for AllFinite<'_> {
    type Output = bool;
    #[inline(always)]
    fn run<S: Simd>(self) -> bool {
        let mut fine = true;
        for x in self.x {
            fine &= x.is_finite();
        }
        fine
    }
}

struct Subtract<'a> {
    local: &'a [f32],
    global: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Subtract<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for ((out, local), global) in self.out.iter_mut().zip(self.local).zip(self.global) {
            *out = local - global;
        }
    }
}

struct Axpy<'a> {
    factor: f32,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Axpy<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (y, x) in self.y.iter_mut().zip(self.x) {
            *y += self.factor * x;
        }
    }
}
