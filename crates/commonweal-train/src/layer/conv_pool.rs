//! A convolution, a 2 × 2 max-pool and an activation as one layer; parameters as of the convolution.

use commonweal_kernels::{Activation, Real, conv_pool};

use super::{Cache, Learning, Pass};

#[derive(Debug, Clone)]
pub(crate) struct ConvPool {
    /// Sizes for one image.
    pub(crate) sizes: conv_pool::ConvPool,
    /// Values of the convolution's weight.
    pub(crate) weights: usize,
    /// Values of one pooled image.
    pub(crate) outputs: usize,
    /// Non-decreasing; see [`PoolKind::Max`](super::PoolKind::Max).
    pub(crate) activation: Activation,
}

impl ConvPool {
    pub(crate) fn cache<T: Real>(&self, rows: usize) -> Cache<T> {
        Cache::of_places(rows * self.outputs)
    }

    pub(crate) fn forward<T: Real>(
        &self,
        parameters: &[T],
        x: &[T],
        y: &mut [T],
        pass: Pass<'_, T>,
    ) {
        let (w, b) = parameters.split_at(self.weights);
        let places = &mut pass.cache.places[..y.len()];
        let sizes = self.sizes.with_batch(pass.batch);
        sizes.forward(x, w, b, y, places, pass.scratch);
        self.activation.forward(y);
    }

    pub(crate) fn backward<T: Real>(
        &self,
        mut learning: Learning<'_, T>,
        x: &[T],
        y: &[T],
        dy: &mut [T],
        dx: Option<&mut [T]>,
        pass: Pass<'_, T>,
    ) {
        self.activation.backward(y, dy);
        let places = &pass.cache.places[..dy.len()];
        let sizes = self.sizes.with_batch(pass.batch);
        learning.apply(|parameters, output, gradient| {
            let (dw, db) = gradient.split_at_mut(self.weights);
            let w = &parameters[..self.weights];
            sizes.backward(x, w, dy, places, output, dw, db, dx, pass.scratch);
        });
    }
}
