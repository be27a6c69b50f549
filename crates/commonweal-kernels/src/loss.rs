//! Losses with their gradients: cross-entropy, binary cross-entropy, squared error.
//!
//! Every row has a scale that multiplies its loss and its gradient: `1 / batch` gives the mean,
//! class weights come in the same way, and 0 leaves a row out (padding).

use crate::Real;
use crate::activation::{log_sum_exp, shifted_exp};
use crate::elementary::{exp, ln};
use crate::simd::{Kernel, Simd, Vector, dispatch};

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
    dispatch(CrossEntropy {
        logits,
        labels,
        scales,
        gradient,
    })
}

/// `Σ scale · loss` as [`cross_entropy`], without the gradient.
///
/// # Panics
/// If the lengths disagree or a label is not below the number of columns.
pub fn cross_entropy_loss<T: Real>(logits: &[T], labels: &[u32], scales: &[T]) -> f64 {
    assert_eq!(labels.len(), scales.len());
    dispatch(CrossEntropyLoss {
        logits,
        labels,
        scales,
    })
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
    dispatch(BinaryCrossEntropy {
        logits,
        targets,
        scales,
        gradient,
    })
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

struct CrossEntropy<'a, T> {
    logits: &'a [T],
    labels: &'a [u32],
    scales: &'a [T],
    gradient: &'a mut [T],
}

impl<T: Real> Kernel for CrossEntropy<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn run<S: Simd>(self) -> f64 {
        let columns = columns(self.logits.len(), self.labels.len());
        let mut total = 0.0;
        for (row, (&label, &scale)) in self.labels.iter().zip(self.scales).enumerate() {
            let logits = &self.logits[row * columns..][..columns];
            let gradient = &mut self.gradient[row * columns..][..columns];
            let (max, sum) = shifted_exp::<T, S>(logits, gradient);
            total += (scale * (max + ln(sum) - logits[label as usize])).to_f64();
            let factor = T::Vector::<S>::splat(scale / sum);
            T::Vector::<S>::map(gradient, |e| e.mul(factor));
            gradient[label as usize] -= scale;
        }
        total
    }
}

struct CrossEntropyLoss<'a, T> {
    logits: &'a [T],
    labels: &'a [u32],
    scales: &'a [T],
}

impl<T: Real> Kernel for CrossEntropyLoss<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn run<S: Simd>(self) -> f64 {
        let columns = columns(self.logits.len(), self.labels.len());
        let mut total = 0.0;
        for (row, (&label, &scale)) in self.labels.iter().zip(self.scales).enumerate() {
            let logits = &self.logits[row * columns..][..columns];
            total += (scale * (log_sum_exp::<T, S>(logits) - logits[label as usize])).to_f64();
        }
        total
    }
}

struct BinaryCrossEntropy<'a, T> {
    logits: &'a [T],
    targets: &'a [T],
    scales: &'a [T],
    gradient: &'a mut [T],
}

impl<T: Real> Kernel for BinaryCrossEntropy<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn run<S: Simd>(self) -> f64 {
        // e = exp(−|x|) keeps digits at both ends: loss = max(x, 0) − x t + ln(1 + e).
        for (e, x) in self.gradient.iter_mut().zip(self.logits) {
            *e = -x.abs();
        }
        T::Vector::<S>::map(self.gradient, exp);
        let mut total = 0.0;
        for (i, gradient) in self.gradient.iter_mut().enumerate() {
            let (x, target, scale, e) =
                (self.logits[i], self.targets[i], self.scales[i], *gradient);
            let loss = x.max(T::ZERO) - x * target + ln(T::ONE + e);
            let sigmoid = if x < T::ZERO { e } else { T::ONE } / (T::ONE + e);
            *gradient = scale * (sigmoid - target);
            total += (scale * loss).to_f64();
        }
        total
    }
}

/// Row length.
fn columns(logits: usize, rows: usize) -> usize {
    let columns = logits.checked_div(rows).unwrap_or(0);
    assert_eq!(logits, columns * rows);
    columns
}
