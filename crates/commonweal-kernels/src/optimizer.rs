//! One fused elementwise step of each optimizer, over flat slices.

use crate::Real;

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
        for ((w, &dw), v) in w.iter_mut().zip(dw).zip(velocity) {
            let g = dw + self.decay * *w;
            *v = self.momentum * *v + g;
            let step = if self.nesterov {
                g + self.momentum * *v
            } else {
                *v
            };
            *w -= self.learning_rate * step;
        }
    }

    /// Steps `w` along the gradient `dw`, without velocity.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn plain_step(self, w: &mut [T], dw: &[T]) {
        assert_eq!(w.len(), dw.len());
        for (w, &dw) in w.iter_mut().zip(dw) {
            *w -= self.learning_rate * (dw + self.decay * *w);
        }
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
        let power = |beta: T| 1.0 - beta.to_f64().powf(step as f64);
        let rate = T::from_f64(self.learning_rate.to_f64() / power(self.beta1));
        let root = T::from_f64(1.0 / power(self.beta2).sqrt());
        let keep = if self.decoupled {
            T::ONE - self.learning_rate * self.decay
        } else {
            T::ONE
        };
        let decay = if self.decoupled { T::ZERO } else { self.decay };
        for (((w, &dw), m), v) in w.iter_mut().zip(dw).zip(first).zip(second) {
            let g = dw + decay * *w;
            *m = self.beta1 * *m + (T::ONE - self.beta1) * g;
            *v = self.beta2 * *v + (T::ONE - self.beta2) * g * g;
            *w = *w * keep - rate * *m / (v.sqrt() * root + self.epsilon);
        }
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
        for ((w, &dw), s) in w.iter_mut().zip(dw).zip(squares) {
            let g = dw + self.decay * *w;
            *s += g * g;
            *w -= self.learning_rate * g / (s.sqrt() + self.epsilon);
        }
    }
}
