//! Losses with their gradients: cross-entropy, binary cross-entropy, squared error.
//!
//! Every row has a scale that multiplies its loss and its gradient: `1 / batch` gives the mean,
//! class weights come in the same way, and 0 leaves a row out (padding).

use crate::Real;

/// Softmax cross-entropy of `logits` (one row a label); returns `Σ scale · loss`, writes
/// `gradient = scale · (softmax − one-hot)`.
///
/// # Panics
/// If the lengths disagree or a label is not below the number of columns.
pub fn cross_entropy<T: Real>(
    logits: &[T],
    labels: &[u32],
    scales: &[T],
    gradient: &mut [T],
) -> f64 {
    assert_eq!(logits.len(), gradient.len());
    assert_eq!(labels.len(), scales.len());
    let Some(columns) = columns(logits, labels) else {
        return 0.0;
    };
    let mut total = 0.0;
    for (((row, dx), &label), &scale) in logits
        .chunks_exact(columns)
        .zip(gradient.chunks_exact_mut(columns))
        .zip(labels)
        .zip(scales)
    {
        let label = label as usize;
        let max = row.iter().fold(T::MIN, |m, &x| m.max(x));
        let mut sum = T::ZERO;
        for (dx, &x) in dx.iter_mut().zip(row) {
            *dx = (x - max).exp();
            sum += *dx;
        }
        total += (scale * (max + sum.ln() - row[label])).to_f64();
        for dx in dx.iter_mut() {
            *dx *= scale / sum;
        }
        dx[label] -= scale;
    }
    total
}

/// `Σ scale · loss` as [`cross_entropy`], without the gradient.
///
/// # Panics
/// If the lengths disagree or a label is not below the number of columns.
pub fn cross_entropy_loss<T: Real>(logits: &[T], labels: &[u32], scales: &[T]) -> f64 {
    assert_eq!(labels.len(), scales.len());
    let Some(columns) = columns(logits, labels) else {
        return 0.0;
    };
    let mut total = 0.0;
    for ((row, &label), &scale) in logits.chunks_exact(columns).zip(labels).zip(scales) {
        let max = row.iter().fold(T::MIN, |m, &x| m.max(x));
        let sum: T = row.iter().map(|&x| (x - max).exp()).sum();
        total += (scale * (max + sum.ln() - row[label as usize])).to_f64();
    }
    total
}

/// Cross-entropy of `sigmoid(logits)` against targets within 0..=1; returns `Σ scale · loss`,
/// writes `gradient = scale · (sigmoid − target)`.
///
/// # Panics
/// If the lengths differ.
pub fn binary_cross_entropy<T: Real>(
    logits: &[T],
    targets: &[T],
    scales: &[T],
    gradient: &mut [T],
) -> f64 {
    assert!(logits.len() == targets.len() && logits.len() == scales.len());
    assert_eq!(logits.len(), gradient.len());
    let mut total = 0.0;
    for i in 0..logits.len() {
        let (x, t, scale) = (logits[i], targets[i], scales[i]);
        let e = (-x.abs()).exp();
        let loss = x.max(T::ZERO) - x * t + (T::ONE + e).ln();
        let sigmoid = if x < T::ZERO {
            e / (T::ONE + e)
        } else {
            T::ONE / (T::ONE + e)
        };
        gradient[i] = scale * (sigmoid - t);
        total += (scale * loss).to_f64();
    }
    total
}

/// Squared error; returns `Σ scale · (y − target)²`, writes `gradient = 2 · scale · (y − target)`.
///
/// # Panics
/// If the lengths differ.
pub fn squared_error<T: Real>(y: &[T], targets: &[T], scales: &[T], gradient: &mut [T]) -> f64 {
    assert!(y.len() == targets.len() && y.len() == scales.len() && y.len() == gradient.len());
    let mut total = 0.0;
    for i in 0..y.len() {
        let error = y[i] - targets[i];
        let scaled = scales[i] * error;
        gradient[i] = scaled + scaled;
        total += (scaled * error).to_f64();
    }
    total
}

/// Row length; nothing for no rows.
fn columns<T>(logits: &[T], labels: &[u32]) -> Option<usize> {
    if labels.is_empty() {
        assert!(logits.is_empty());
        return None;
    }
    assert_eq!(logits.len() % labels.len(), 0);
    Some(logits.len() / labels.len())
}
