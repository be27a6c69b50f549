//! Element-wise non-linearities that are layers of their own.

use commonweal_kernels::{Activation, Real};

use super::{Cache, Pass};

#[derive(Debug, Clone)]
pub(crate) enum Pointwise {
    /// Its derivative follows from its output.
    Plain(Activation),
    /// `x Φ(x)`, exact: Hendrycks and Gimpel 2016 (arXiv:1606.08415), section 2. Keeps its
    /// derivative for the way back.
    Gelu {
        /// Values of one example.
        width: usize,
    },
}

impl Pointwise {
    pub(crate) fn cache<T: Real>(&self, rows: usize) -> Cache<T> {
        match self {
            Self::Plain(_) => Cache::empty(),
            Self::Gelu { width } => Cache::of_values(rows * width),
        }
    }

    pub(crate) fn forward<T: Real>(&self, x: &[T], y: &mut [T], pass: Pass<'_, T>) {
        match self {
            Self::Plain(activation) => {
                y.copy_from_slice(x);
                activation.forward(y);
            }
            Self::Gelu { .. } => {
                for ((y, x), slope) in y.iter_mut().zip(x).zip(&mut pass.cache.values) {
                    let (value, derivative) = gelu(x.to_f64());
                    (*y, *slope) = (T::from_f64(value), T::from_f64(derivative));
                }
            }
        }
    }

    pub(crate) fn backward<T: Real>(&self, y: &[T], dy: &[T], dx: &mut [T], pass: Pass<'_, T>) {
        dx.copy_from_slice(dy);
        match self {
            Self::Plain(activation) => activation.backward(y, dx),
            Self::Gelu { .. } => {
                for (dx, &slope) in dx.iter_mut().zip(&pass.cache.values) {
                    *dx *= slope;
                }
            }
        }
    }
}

/// `x Φ(x)` and its derivative `Φ(x) + x φ(x)`, of the standard normal distribution.
fn gelu(x: f64) -> (f64, f64) {
    const ROOT_TWO_PI: f64 = 2.506_628_274_631_000_5;
    let cumulative = 0.5 * (1.0 + libm::erf(x * core::f64::consts::FRAC_1_SQRT_2));
    let density = libm::exp(-0.5 * x * x) / ROOT_TWO_PI;
    (x * cumulative, cumulative + x * density)
}
