//! Largest or mean value of each square of an image.

use commonweal_kernels::{Activation, Real, pool};

use super::{Cache, Pass};

#[derive(Debug, Clone)]
pub(crate) struct Pool2d {
    pub(crate) kind: PoolKind,
    /// Sizes for one image: its channels are the planes.
    pub(crate) sizes: pool::Pool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolKind {
    /// The largest value, then a non-decreasing activation: the same values as the activation
    /// before the pool, on fewer of them.
    Max(Activation),
    Average,
}

impl Pool2d {
    fn sizes(&self, batch: usize) -> pool::Pool {
        pool::Pool {
            planes: batch * self.sizes.planes,
            ..self.sizes
        }
    }

    pub(crate) fn cache<T: Real>(&self, rows: usize) -> Cache<T> {
        let [height, width] = self.sizes.output_size();
        match self.kind {
            PoolKind::Max(_) => Cache::of_places(rows * self.sizes.planes * height * width),
            PoolKind::Average => Cache::empty(),
        }
    }

    pub(crate) fn forward<T: Real>(&self, x: &[T], y: &mut [T], pass: Pass<'_, T>) {
        let sizes = self.sizes(pass.batch);
        match self.kind {
            PoolKind::Max(activation) => {
                sizes.max_forward(x, y, &mut pass.cache.places[..y.len()]);
                activation.forward(y);
            }
            PoolKind::Average => sizes.average_forward(x, y),
        }
    }

    pub(crate) fn backward<T: Real>(&self, y: &[T], dy: &mut [T], dx: &mut [T], pass: Pass<'_, T>) {
        let sizes = self.sizes(pass.batch);
        match self.kind {
            PoolKind::Max(activation) => {
                activation.backward(y, dy);
                sizes.max_backward(dy, &pass.cache.places[..dy.len()], dx);
            }
            PoolKind::Average => sizes.average_backward(dy, dx),
        }
    }
}
