//! Elementwise activations, and the softmax over rows.

use crate::Real;
use crate::elementary::{exp, ln, sigmoid, tanh};
use crate::simd::{Kernel, Simd, Vector, dispatch};

/// A nonlinearity whose derivative follows from its own output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `y = x`.
    Identity,
    /// `y = max(x, 0)`; a NaN stays.
    Relu,
    /// `y = tanh x`.
    Tanh,
    /// `y = 1 / (1 + exp(−x))`.
    Sigmoid,
}

impl Activation {
    /// Replaces every `x` by `y(x)`.
    pub fn forward<T: Real>(self, x: &mut [T]) {
        dispatch(Forward {
            activation: self,
            x,
        });
    }

    /// Multiplies the gradient `dy` by the derivative at the outputs `y`: `dx = dy · y'`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn backward<T: Real>(self, y: &[T], dy: &mut [T]) {
        assert_eq!(y.len(), dy.len());
        dispatch(Backward {
            activation: self,
            y,
            dy,
        });
    }
}

/// Replaces every row of `columns` values by its softmax.
///
/// # Panics
/// If the length is not a multiple of `columns`.
pub fn softmax_rows<T: Real>(x: &mut [T], columns: usize) {
    dispatch(Softmax { x, columns });
}

/// Writes `log Σ exp` of every row of `columns` values.
///
/// # Panics
/// If `x.len() != out.len() · columns`.
pub fn log_sum_exp_rows<T: Real>(x: &[T], columns: usize, out: &mut [T]) {
    assert_eq!(x.len(), out.len() * columns);
    dispatch(LogSumExp { x, columns, out });
}

/// The activation in place, as part of a kernel.
#[inline(always)]
pub(crate) fn activate<T: Real, S: Simd>(activation: Activation, x: &mut [T]) {
    match activation {
        Activation::Identity => {}
        Activation::Relu => {
            let zero = T::Vector::<S>::splat(T::ZERO);
            T::Vector::<S>::map(x, |x| zero.max(x));
        }
        Activation::Tanh => T::Vector::<S>::map(x, tanh),
        Activation::Sigmoid => T::Vector::<S>::map(x, sigmoid),
    }
}

/// Writes `exp(x − max x)` and returns `(max x, Σ exp(x − max x))`, as part of a kernel.
#[inline(always)]
pub(crate) fn shifted_exp<T: Real, S: Simd>(x: &[T], out: &mut [T]) -> (T, T) {
    let max = row_max(x);
    out.copy_from_slice(x);
    exp_of_differences::<T, S>(out, max);
    (max, row_sum(out))
}

/// Replaces every `x` by `exp(x − shift)`.
///
/// A closure as long as this would not be inlined, and then lacks the kernel's instruction set.
#[inline(always)]
fn exp_of_differences<T: Real, S: Simd>(x: &mut [T], shift: T) {
    let shift = T::Vector::<S>::splat(shift);
    for chunk in x.chunks_mut(T::Vector::<S>::LANES) {
        exp(T::Vector::<S>::read(chunk).sub(shift)).write(chunk);
    }
}

/// `log Σ exp` of a row, as part of a kernel.
#[inline(always)]
pub(crate) fn log_sum_exp<T: Real, S: Simd>(x: &[T]) -> T {
    let max = row_max(x);
    let shift = T::Vector::<S>::splat(max);
    let mut sum = T::ZERO;
    let mut lanes = [T::ZERO; 16];
    for chunk in x.chunks(T::Vector::<S>::LANES) {
        exp(T::Vector::<S>::read(chunk).sub(shift)).write(&mut lanes[..chunk.len()]);
        sum += row_sum(&lanes[..chunk.len()]);
    }
    max + ln(sum)
}

/// The largest value, in four chains: one would wait for itself at every value.
#[inline(always)]
fn row_max<T: Real>(x: &[T]) -> T {
    let larger = |max: T, x: T| if x > max { x } else { max };
    let mut lanes = [T::MIN; 4];
    for chunk in x.chunks(4) {
        for (max, &x) in lanes.iter_mut().zip(chunk) {
            *max = larger(*max, x);
        }
    }
    let [a, b, c, d] = lanes;
    larger(larger(a, b), larger(c, d))
}

/// The sum, in four chains.
#[inline(always)]
fn row_sum<T: Real>(x: &[T]) -> T {
    let mut lanes = [T::ZERO; 4];
    for chunk in x.chunks(4) {
        for (sum, &x) in lanes.iter_mut().zip(chunk) {
            *sum += x;
        }
    }
    let [a, b, c, d] = lanes;
    (a + b) + (c + d)
}

struct Forward<'a, T> {
    activation: Activation,
    x: &'a mut [T],
}

impl<T: Real> Kernel for Forward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        activate::<T, S>(self.activation, self.x);
    }
}

struct Backward<'a, T> {
    activation: Activation,
    y: &'a [T],
    dy: &'a mut [T],
}

impl<T: Real> Backward<'_, T> {
    #[inline(always)]
    fn zip<V: Vector<Element = T>>(self, gradient: impl Fn(V, V) -> V) {
        for (y, dy) in self.y.chunks(V::LANES).zip(self.dy.chunks_mut(V::LANES)) {
            gradient(V::read(y), V::read(dy)).write(dy);
        }
    }
}

impl<T: Real> Kernel for Backward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let one = T::Vector::<S>::splat(T::ONE);
        match self.activation {
            Activation::Identity => {}
            Activation::Relu => {
                let zero = T::Vector::<S>::splat(T::ZERO);
                self.zip(|y: T::Vector<S>, dy| y.select_greater(zero, dy, zero));
            }
            Activation::Tanh => self.zip(|y: T::Vector<S>, dy| dy.mul(one.sub(y.mul(y)))),
            Activation::Sigmoid => self.zip(|y: T::Vector<S>, dy| dy.mul(y.mul(one.sub(y)))),
        }
    }
}

struct Softmax<'a, T> {
    x: &'a mut [T],
    columns: usize,
}

impl<T: Real> Kernel for Softmax<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        if self.x.is_empty() {
            return;
        }
        assert_eq!(self.x.len() % self.columns, 0);
        for row in self.x.chunks_exact_mut(self.columns) {
            exp_of_differences::<T, S>(row, row_max(row));
            let sum = row_sum(row);
            let factor = T::Vector::<S>::splat(T::ONE / sum);
            T::Vector::<S>::map(row, |x| x.mul(factor));
        }
    }
}

struct LogSumExp<'a, T> {
    x: &'a [T],
    columns: usize,
    out: &'a mut [T],
}

impl<T: Real> Kernel for LogSumExp<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (row, out) in self.out.iter_mut().enumerate() {
            *out = log_sum_exp::<T, S>(&self.x[row * self.columns..][..self.columns]);
        }
    }
}
