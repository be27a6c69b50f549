//! The pointwise part of an LSTM step, with PyTorch's gate order: input, forget, cell, output.

use crate::Real;
use crate::elementary::{sigmoid, tanh};
use crate::simd::{Kernel, Simd, Vector, dispatch};

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
        self.check(gates.len(), &[c_prev.len(), c.len(), tanh_c.len(), h.len()]);
        dispatch(Forward {
            hidden: self.hidden,
            gates,
            c_prev,
            c,
            tanh_c,
            h,
        });
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
        self.check(
            gates.len(),
            &[c_prev.len(), tanh_c.len(), dh.len(), dc.len()],
        );
        dispatch(Backward {
            hidden: self.hidden,
            gates,
            c_prev,
            tanh_c,
            dh,
            dc,
        });
    }

    fn check(self, gates: usize, states: &[usize]) {
        assert_eq!(gates, self.batch * 4 * self.hidden);
        assert!(
            states
                .iter()
                .all(|&length| length == self.batch * self.hidden)
        );
    }
}

struct Forward<'a, T> {
    hidden: usize,
    gates: &'a mut [T],
    c_prev: &'a [T],
    c: &'a mut [T],
    tanh_c: &'a mut [T],
    h: &'a mut [T],
}

impl<T: Real> Kernel for Forward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let n = self.hidden.max(1);
        for (row, gates) in self.gates.chunks_exact_mut(4 * n).enumerate() {
            let [i, f, g, o] = quarters(gates, n);
            for j in (0..n).step_by(T::Vector::<S>::LANES) {
                let lanes = j..n.min(j + T::Vector::<S>::LANES);
                let state = row * n + lanes.start..row * n + lanes.end;
                let read = |gate: &[T]| T::Vector::<S>::read(&gate[lanes.clone()]);
                let (input, forget) = (sigmoid(read(i)), sigmoid(read(f)));
                let (cell, output) = (tanh(read(g)), sigmoid(read(o)));
                let c_prev = T::Vector::<S>::read(&self.c_prev[state.clone()]);
                let c = forget.mul_add(c_prev, input.mul(cell));
                let tanh_c = tanh(c);
                input.write(&mut i[lanes.clone()]);
                forget.write(&mut f[lanes.clone()]);
                cell.write(&mut g[lanes.clone()]);
                output.write(&mut o[lanes.clone()]);
                c.write(&mut self.c[state.clone()]);
                tanh_c.write(&mut self.tanh_c[state.clone()]);
                output.mul(tanh_c).write(&mut self.h[state]);
            }
        }
    }
}

struct Backward<'a, T> {
    hidden: usize,
    gates: &'a mut [T],
    c_prev: &'a [T],
    tanh_c: &'a [T],
    dh: &'a [T],
    dc: &'a mut [T],
}

impl<T: Real> Kernel for Backward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let n = self.hidden.max(1);
        let one = T::Vector::<S>::splat(T::ONE);
        for (row, gates) in self.gates.chunks_exact_mut(4 * n).enumerate() {
            let [i, f, g, o] = quarters(gates, n);
            for j in (0..n).step_by(T::Vector::<S>::LANES) {
                let lanes = j..n.min(j + T::Vector::<S>::LANES);
                let state = row * n + lanes.start..row * n + lanes.end;
                let read = |gate: &[T]| T::Vector::<S>::read(&gate[lanes.clone()]);
                let (input, forget, cell, output) = (read(i), read(f), read(g), read(o));
                let tanh_c = T::Vector::<S>::read(&self.tanh_c[state.clone()]);
                let dh = T::Vector::<S>::read(&self.dh[state.clone()]);
                let c_prev = T::Vector::<S>::read(&self.c_prev[state.clone()]);
                let dc = T::Vector::<S>::read(&self.dc[state.clone()]);
                let dh_output = dh.mul(output);
                let dc = dh_output.mul_add(one.sub(tanh_c.mul(tanh_c)), dc);
                let logistic = |y: T::Vector<S>| y.mul(one.sub(y));
                dc.mul(cell)
                    .mul(logistic(input))
                    .write(&mut i[lanes.clone()]);
                dc.mul(c_prev)
                    .mul(logistic(forget))
                    .write(&mut f[lanes.clone()]);
                dc.mul(input)
                    .mul(one.sub(cell.mul(cell)))
                    .write(&mut g[lanes.clone()]);
                dh_output
                    .mul(tanh_c)
                    .mul(one.sub(output))
                    .write(&mut o[lanes.clone()]);
                dc.mul(forget).write(&mut self.dc[state]);
            }
        }
    }
}

/// The four gates of one row.
#[inline(always)]
fn quarters<T>(gates: &mut [T], n: usize) -> [&mut [T]; 4] {
    let (i, rest) = gates.split_at_mut(n);
    let (f, rest) = rest.split_at_mut(n);
    let (g, o) = rest.split_at_mut(n);
    [i, f, g, o]
}
