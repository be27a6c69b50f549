//! Group and layer normalisation with a scale and a shift; parameters `weight`, `bias`.
//!
//! Group: Wu and He 2018 (arXiv:1803.08494), over groups of an image's channels. Layer: Ba et al.
//! 2016 (arXiv:1607.06450), over the last axis. Variances are those of the values, not of a
//! population, and `epsilon` is 1e-5, as in PyTorch.

use commonweal_kernels::Real;
use commonweal_kernels::product::Output;

use super::{Cache, Learning, Pass};

const EPSILON: f64 = 1e-5;

/// Normalises runs of `channels / groups · area` values that lie one after another.
#[derive(Debug, Clone)]
pub(crate) struct Norm {
    /// Times that one example has all channels: 1, or once an instant.
    pub(crate) rows: usize,
    pub(crate) groups: usize,
    pub(crate) channels: usize,
    /// Values that share one channel's scale and shift.
    pub(crate) area: usize,
}

impl Norm {
    fn run(&self) -> usize {
        self.channels / self.groups * self.area
    }

    /// Keeps the normalised values, and the reciprocal deviation of each run.
    pub(crate) fn cache<T: Real>(&self, rows: usize) -> Cache<T> {
        let runs = rows * self.rows * self.groups;
        Cache::of_values(runs * self.run() + runs)
    }

    pub(crate) fn forward<T: Real>(
        &self,
        parameters: &[T],
        x: &[T],
        y: &mut [T],
        pass: Pass<'_, T>,
    ) {
        let (normal, reciprocals) = pass.cache.values.split_at_mut(x.len());
        let runs = x
            .chunks_exact(self.run())
            .zip(normal.chunks_exact_mut(self.run()));
        for ((x, normal), reciprocal) in runs.zip(reciprocals) {
            *reciprocal = normalise(x, normal);
        }
        let (weight, bias) = parameters.split_at(self.channels);
        let areas = normal
            .chunks_exact(self.area)
            .zip(y.chunks_exact_mut(self.area));
        for (at, (normal, y)) in areas.enumerate() {
            let (weight, bias) = (weight[at % self.channels], bias[at % self.channels]);
            for (y, &normal) in y.iter_mut().zip(normal) {
                *y = normal * weight + bias;
            }
        }
    }

    pub(crate) fn backward<T: Real>(
        &self,
        mut learning: Learning<'_, T>,
        dy: &mut [T],
        dx: Option<&mut [T]>,
        pass: Pass<'_, T>,
    ) {
        let (normal, reciprocals) = pass.cache.values.split_at(dy.len());
        learning.apply(|parameters, output, gradient| {
            if let Some(dx) = dx {
                self.input_gradient(&parameters[..self.channels], normal, reciprocals, dy, dx);
            }
            if output == Output::Set {
                gradient.fill(T::ZERO);
            }
            let (weight, bias) = gradient.split_at_mut(self.channels);
            let areas = normal
                .chunks_exact(self.area)
                .zip(dy.chunks_exact(self.area));
            for (at, (normal, dy)) in areas.enumerate() {
                let channel = at % self.channels;
                weight[channel] += normal.iter().zip(dy).map(|(&x, &dy)| x * dy).sum();
                bias[channel] += dy.iter().copied().sum();
            }
        });
    }

    /// `dx = (g − mean g − x̂ · mean(g ∘ x̂)) / deviation`, with `g = weight · dy`.
    fn input_gradient<T: Real>(
        &self,
        weight: &[T],
        normal: &[T],
        reciprocals: &[T],
        dy: &[T],
        dx: &mut [T],
    ) {
        let areas = dy
            .chunks_exact(self.area)
            .zip(dx.chunks_exact_mut(self.area));
        for (at, (dy, dx)) in areas.enumerate() {
            let weight = weight[at % self.channels];
            for (dx, &dy) in dx.iter_mut().zip(dy) {
                *dx = weight * dy;
            }
        }
        let runs = dx
            .chunks_exact_mut(self.run())
            .zip(normal.chunks_exact(self.run()));
        let share = T::ONE / T::from_usize(self.run());
        for ((g, normal), &reciprocal) in runs.zip(reciprocals) {
            let mean = g.iter().copied().sum::<T>() * share;
            let slope = g.iter().zip(normal).map(|(&g, &x)| g * x).sum::<T>() * share;
            for (g, &normal) in g.iter_mut().zip(normal) {
                *g = (*g - mean - normal * slope) * reciprocal;
            }
        }
    }
}

/// Writes `(x − mean) / deviation` and returns `1 / deviation`.
fn normalise<T: Real>(x: &[T], normal: &mut [T]) -> T {
    let share = T::ONE / T::from_usize(x.len());
    let mean = x.iter().copied().sum::<T>() * share;
    for (normal, &x) in normal.iter_mut().zip(x) {
        *normal = x - mean;
    }
    let variance = normal.iter().map(|&x| x * x).sum::<T>() * share;
    let reciprocal = T::ONE / (variance + T::from_f64(EPSILON)).sqrt();
    normal.iter_mut().for_each(|x| *x *= reciprocal);
    reciprocal
}
