//! Dropout: Srivastava et al. 2014, scaled while training so that nothing changes when a model is used.

use commonweal_kernels::Real;
use rand_core::Rng;

use super::{Cache, Pass};

#[derive(Debug, Clone)]
pub(crate) struct Dropout {
    /// Values of one example.
    pub(crate) width: usize,
    /// Probability that a value is zeroed, `0 ≤ p < 1`.
    pub(crate) rate: f64,
}

impl Dropout {
    pub(crate) fn cache<T: Real>(&self, rows: usize) -> Cache<T> {
        Cache::of_values(rows * self.width)
    }

    pub(crate) fn forward<T: Real>(&self, x: &[T], y: &mut [T], pass: Pass<'_, T>) {
        let Some(rng) = pass.dropout else {
            y.copy_from_slice(x);
            return;
        };
        let dropped_below = (self.rate * 4_294_967_296.0) as u64;
        let kept = T::from_f64(1.0 / (1.0 - self.rate));
        for ((y, &x), factor) in y.iter_mut().zip(x).zip(&mut pass.cache.values) {
            *factor = if u64::from(rng.next_u32()) < dropped_below {
                T::ZERO
            } else {
                kept
            };
            *y = x * *factor;
        }
    }

    pub(crate) fn backward<T: Real>(&self, dy: &[T], dx: &mut [T], pass: Pass<'_, T>) {
        for ((dx, &dy), &factor) in dx.iter_mut().zip(dy).zip(&pass.cache.values) {
            *dx = dy * factor;
        }
    }
}
