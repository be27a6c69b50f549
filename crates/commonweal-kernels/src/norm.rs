//! Norms and linear combinations of flat vectors.

/// `Σ x²`, summed in `f64`.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    x.iter().map(|&x| f64::from(x) * f64::from(x)).sum()
}

/// `x ← factor · x`.
pub fn scale(x: &mut [f32], factor: f32) {
    x.iter_mut().for_each(|x| *x *= factor);
}

/// Whether no value is NaN or infinite.
pub fn all_finite(x: &[f32]) -> bool {
    x.iter().all(|x| x.is_finite())
}

/// `out = local − global`.
///
/// # Panics
/// If the lengths differ.
pub fn subtract(local: &[f32], global: &[f32], out: &mut [f32]) {
    assert!(local.len() == global.len() && local.len() == out.len());
    for ((out, l), g) in out.iter_mut().zip(local).zip(global) {
        *out = l - g;
    }
}

/// `y ← y + factor · x`.
///
/// # Panics
/// If the lengths differ.
pub fn axpy(factor: f32, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len());
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}
