//! One fused elementwise step of each optimizer, over flat slices.

use crate::Real;
use crate::simd::{Kernel, Simd, dispatch};

/// Stochastic gradient descent with momentum, as `torch.optim.SGD` (dampening 0).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd<T> {
    /// Step size.
    pub learning_rate: T,
    /// Share of the former velocity that is kept.
    pub momentum: T,
    /// Whether the step looks ahead along the velocity.
    pub nesterov: bool,
    /// Weight decay (L2), added to the gradient.
    pub decay: T,
}

impl<T: Real> Sgd<T> {
    /// Steps `w` along the gradient `dw`; `velocity` starts as zeros.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn step(self, w: &mut [T], dw: &[T], velocity: &mut [T]) {
        assert!(w.len() == dw.len() && w.len() == velocity.len());
        dispatch(SgdStep {
            rule: self,
            w,
            dw,
            velocity,
        });
    }

    /// Steps `w` along the gradient `dw`, without velocity.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn plain_step(self, w: &mut [T], dw: &[T]) {
        assert_eq!(w.len(), dw.len());
        dispatch(PlainStep { rule: self, w, dw });
    }
}

/// Adam (Kingma and Ba 2015, arXiv:1412.6980) and AdamW (Loshchilov and Hutter 2019,
/// arXiv:1711.05101), as `torch.optim.Adam` and `AdamW`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam<T> {
    /// Step size.
    pub learning_rate: T,
    /// Decay of the first moment.
    pub beta1: T,
    /// Decay of the second moment.
    pub beta2: T,
    /// Added to the root of the second moment.
    pub epsilon: T,
    /// Weight decay.
    pub decay: T,
    /// Whether decay acts on the weights (AdamW) or is added to the gradient (Adam).
    pub decoupled: bool,
}

impl<T: Real> Adam<T> {
    /// Steps `w` along the gradient `dw`; `step` counts from 1, the moments start as zeros.
    ///
    /// # Panics
    /// If the lengths differ or `step` is 0.
    pub fn step(self, step: u64, w: &mut [T], dw: &[T], first: &mut [T], second: &mut [T]) {
        assert!(w.len() == dw.len() && w.len() == first.len() && w.len() == second.len());
        assert!(step > 0);
        // Both corrections of the bias of moments that start at zero.
        let rate = self.learning_rate.to_f64() / (1.0 - power(self.beta1.to_f64(), step));
        let root = 1.0 / (1.0 - power(self.beta2.to_f64(), step)).sqrt();
        let (rate, root) = (T::from_f64(rate), T::from_f64(root));
        dispatch(AdamStep {
            rule: self,
            rate,
            root,
            w,
            dw,
            first,
            second,
        });
    }
}

/// Adagrad (Duchi et al. 2011), as `torch.optim.Adagrad`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adagrad<T> {
    /// Step size.
    pub learning_rate: T,
    /// Added to the root of the sum of squares.
    pub epsilon: T,
    /// Weight decay (L2), added to the gradient.
    pub decay: T,
}

impl<T: Real> Adagrad<T> {
    /// Steps `w` along the gradient `dw`; `squares` starts as zeros.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn step(self, w: &mut [T], dw: &[T], squares: &mut [T]) {
        assert!(w.len() == dw.len() && w.len() == squares.len());
        dispatch(AdagradStep {
            rule: self,
            w,
            dw,
            squares,
        });
    }
}

/// `base^exponent` by squaring.
fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut product = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            product *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    product
}

struct SgdStep<'a, T> {
    rule: Sgd<T>,
    w: &'a mut [T],
    dw: &'a [T],
    velocity: &'a mut [T],
}

impl<T: Real> Kernel for SgdStep<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Sgd {
            learning_rate,
            momentum,
            nesterov,
            decay,
        } = self.rule;
        // The step is a share of the gradient and a share of the velocity.
        let (of_gradient, of_velocity) = if nesterov {
            (T::ONE, momentum)
        } else {
            (T::ZERO, T::ONE)
        };
        for ((w, &dw), v) in self.w.iter_mut().zip(self.dw).zip(self.velocity) {
            let g = dw + decay * *w;
            *v = momentum * *v + g;
            *w -= learning_rate * (of_gradient * g + of_velocity * *v);
        }
    }
}

struct PlainStep<'a, T> {
    rule: Sgd<T>,
    w: &'a mut [T],
    dw: &'a [T],
}

impl<T: Real> Kernel for PlainStep<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Sgd {
            learning_rate,
            decay,
            ..
        } = self.rule;
        for (w, &dw) in self.w.iter_mut().zip(self.dw) {
            *w -= learning_rate * (dw + decay * *w);
        }
    }
}

struct AdamStep<'a, T> {
    rule: Adam<T>,
    rate: T,
    root: T,
    w: &'a mut [T],
    dw: &'a [T],
    first: &'a mut [T],
    second: &'a mut [T],
}

impl<T: Real> Kernel for AdamStep<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Adam {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            decay,
            decoupled,
        } = self.rule;
        let keep = if decoupled {
            T::ONE - learning_rate * decay
        } else {
            T::ONE
        };
        let decay = if decoupled { T::ZERO } else { decay };
        let moments = self.first.iter_mut().zip(self.second);
        for ((w, &dw), (m, v)) in self.w.iter_mut().zip(self.dw).zip(moments) {
            let g = dw + decay * *w;
            *m = beta1 * *m + (T::ONE - beta1) * g;
            *v = beta2 * *v + (T::ONE - beta2) * g * g;
            *w = *w * keep - self.rate * *m / (v.sqrt() * self.root + epsilon);
        }
    }
}

struct AdagradStep<'a, T> {
    rule: Adagrad<T>,
    w: &'a mut [T],
    dw: &'a [T],
    squares: &'a mut [T],
}

impl<T: Real> Kernel for AdagradStep<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Adagrad {
            learning_rate,
            epsilon,
            decay,
        } = self.rule;
        for ((w, &dw), s) in self.w.iter_mut().zip(self.dw).zip(self.squares) {
            let g = dw + decay * *w;
            *s += g * g;
            *w -= learning_rate * g / (s.sqrt() + epsilon);
        }
    }
}
