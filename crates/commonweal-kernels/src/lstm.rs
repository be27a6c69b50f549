//! The pointwise part of an LSTM step, with PyTorch's gate order: input, forget, cell, output.

use crate::Real;
use crate::real::sealed::Kernels;

/// Sizes of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lstm {
    /// Rows.
    pub batch: usize,
    /// Length of the hidden state `H`; the gates are `[batch, 4 H]`.
    pub hidden: usize,
}

impl Lstm {
    /// `c = f ∘ c_prev + i ∘ g`, `h = o ∘ tanh c`.
    ///
    /// `gates` comes as pre-activations and leaves as the gates' values; `tanh_c` keeps `tanh c`
    /// for the way back.
    ///
    /// # Panics
    /// If a length does not fit the sizes.
    pub fn forward<T: Real>(
        self,
        gates: &mut [T],
        c_prev: &[T],
        c: &mut [T],
        tanh_c: &mut [T],
        h: &mut [T],
    ) {
        let n = self.check(gates.len(), &[c_prev.len(), c.len(), tanh_c.len(), h.len()]);
        let sigmoid = |x: T| T::ONE / (T::ONE + (-x).exp());
        for r in 0..self.batch {
            for j in 0..n {
                let (g, s) = (r * 4 * n + j, r * n + j);
                gates[g] = sigmoid(gates[g]);
                gates[g + n] = sigmoid(gates[g + n]);
                gates[g + 2 * n] = Kernels::tanh(gates[g + 2 * n]);
                gates[g + 3 * n] = sigmoid(gates[g + 3 * n]);
                c[s] = gates[g + n] * c_prev[s] + gates[g] * gates[g + 2 * n];
                tanh_c[s] = Kernels::tanh(c[s]);
                h[s] = gates[g + 3 * n] * tanh_c[s];
            }
        }
    }

    /// The gradient through one step.
    ///
    /// `gates` comes as the gates' values and leaves as the gradient of their pre-activations;
    /// `dc` comes as the gradient of `c` from the step after and leaves as that of `c_prev`.
    ///
    /// # Panics
    /// If a length does not fit the sizes.
    pub fn backward<T: Real>(
        self,
        gates: &mut [T],
        c_prev: &[T],
        tanh_c: &[T],
        dh: &[T],
        dc: &mut [T],
    ) {
        let n = self.check(
            gates.len(),
            &[c_prev.len(), tanh_c.len(), dh.len(), dc.len()],
        );
        for r in 0..self.batch {
            for j in 0..n {
                let (k, s) = (r * 4 * n + j, r * n + j);
                let (i, f, g, o) = (gates[k], gates[k + n], gates[k + 2 * n], gates[k + 3 * n]);
                let d = dc[s] + dh[s] * o * (T::ONE - tanh_c[s] * tanh_c[s]);
                gates[k] = d * g * i * (T::ONE - i);
                gates[k + n] = d * c_prev[s] * f * (T::ONE - f);
                gates[k + 2 * n] = d * i * (T::ONE - g * g);
                gates[k + 3 * n] = dh[s] * tanh_c[s] * o * (T::ONE - o);
                dc[s] = d * f;
            }
        }
    }

    /// The hidden length, once all lengths fit.
    fn check(self, gates: usize, states: &[usize]) -> usize {
        assert_eq!(gates, self.batch * 4 * self.hidden);
        assert!(states.iter().all(|&s| s == self.batch * self.hidden));
        self.hidden
    }
}
