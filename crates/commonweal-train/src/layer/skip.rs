//! Moving values without changing them: residual sums, and sequences laid time first.

use commonweal_kernels::Real;

/// The input of a residual sum's body, so that the body's gradient has a place of its own.
#[derive(Debug, Clone)]
pub(crate) struct Copy;

/// `y = x + skip`.
#[derive(Debug, Clone)]
pub(crate) struct Add;

impl Add {
    pub(crate) fn forward<T: Real>(&self, x: &[T], skip: &[T], y: &mut [T]) {
        for ((y, &x), &skip) in y.iter_mut().zip(x).zip(skip) {
            *y = x + skip;
        }
    }
}

/// Adds `values` to `sum`.
pub(super) fn add<T: Real>(sum: &mut [T], values: &[T]) {
    for (sum, &value) in sum.iter_mut().zip(values) {
        *sum += value;
    }
}

/// `[batch, time, features]` to `[time, batch, features]`.
#[derive(Debug, Clone)]
pub(crate) struct TimeMajor {
    pub(crate) time: usize,
    pub(crate) features: usize,
    /// Whether the other way round.
    pub(crate) inverse: bool,
}

impl TimeMajor {
    pub(crate) fn forward<T: Real>(&self, x: &[T], y: &mut [T], batch: usize) {
        self.transpose(x, y, batch, self.inverse);
    }

    pub(crate) fn backward<T: Real>(&self, dy: &[T], dx: &mut [T], batch: usize) {
        self.transpose(dy, dx, batch, !self.inverse);
    }

    fn transpose<T: Real>(&self, from: &[T], to: &mut [T], batch: usize, inverse: bool) {
        for row in 0..batch {
            for instant in 0..self.time {
                let by_row = (row * self.time + instant) * self.features;
                let by_time = (instant * batch + row) * self.features;
                let (at, source) = if inverse {
                    (by_row, by_time)
                } else {
                    (by_time, by_row)
                };
                to[at..][..self.features].copy_from_slice(&from[source..][..self.features]);
            }
        }
    }
}
