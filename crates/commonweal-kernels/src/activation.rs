//! Elementwise activations and the softmax over rows.

use crate::Real;

/// A nonlinearity whose derivative follows from its own output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `y = x`.
    Identity,
    /// `y = max(x, 0)`.
    Relu,
    /// `y = tanh x`.
    Tanh,
    /// `y = 1 / (1 + exp(−x))`.
    Sigmoid,
}

impl Activation {
    /// Replaces every `x` by `y(x)`.
    pub fn forward<T: Real>(self, x: &mut [T]) {
        for x in x {
            *x = match self {
                Self::Identity => *x,
                Self::Relu => x.max(T::ZERO),
                Self::Tanh => x.tanh(),
                Self::Sigmoid => T::ONE / (T::ONE + (-*x).exp()),
            };
        }
    }

    /// Multiplies the gradient `dy` by the derivative at the outputs `y`: `dx = dy · y'`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn backward<T: Real>(self, y: &[T], dy: &mut [T]) {
        assert_eq!(y.len(), dy.len());
        for (&y, dy) in y.iter().zip(dy) {
            *dy *= match self {
                Self::Identity => T::ONE,
                Self::Relu => {
                    if y > T::ZERO {
                        T::ONE
                    } else {
                        T::ZERO
                    }
                }
                Self::Tanh => T::ONE - y * y,
                Self::Sigmoid => y * (T::ONE - y),
            };
        }
    }
}

/// Replaces every row of `columns` values by its softmax.
///
/// # Panics
/// If the length is not a multiple of `columns`.
pub fn softmax_rows<T: Real>(x: &mut [T], columns: usize) {
    assert_eq!(x.len() % columns, 0);
    for row in x.chunks_exact_mut(columns) {
        let max = row.iter().fold(T::MIN, |m, &x| m.max(x));
        let mut sum = T::ZERO;
        for x in row.iter_mut() {
            *x = (*x - max).exp();
            sum += *x;
        }
        for x in row {
            *x /= sum;
        }
    }
}

/// `log Σ exp` of every row of `columns` values, into `out`.
///
/// # Panics
/// If `x.len() != out.len() · columns`.
pub fn log_sum_exp_rows<T: Real>(x: &[T], columns: usize, out: &mut [T]) {
    assert_eq!(x.len(), out.len() * columns);
    for (row, out) in x.chunks_exact(columns).zip(out) {
        let max = row.iter().fold(T::MIN, |m, &x| m.max(x));
        let sum: T = row.iter().map(|&x| (x - max).exp()).sum();
        *out = max + sum.ln();
    }
}
