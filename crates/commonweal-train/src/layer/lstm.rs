//! One LSTM layer (Hochreiter and Schmidhuber 1997, with forget gates), in PyTorch's form:
//! parameters `W_ih [4H, inputs]`, `W_hh [4H, H]`, `b_ih [4H]`, `b_hh [4H]`, gates in the order
//! input, forget, cell, output; the state starts as zeros.
//!
//! The products with the input run once over all instants; only those with the former hidden
//! state follow one another, with weights that are packed once a step.

use std::ops::Range;

use commonweal_kernels::product::{Form, Output, Shape, matmul};
use commonweal_kernels::{Activation, Real, dense, lstm};

use super::{Cache, Learning, Pass};

#[derive(Debug, Clone)]
pub(crate) struct Lstm {
    pub(crate) time: usize,
    pub(crate) inputs: usize,
    pub(crate) hidden: usize,
}

/// Where the parts of [`Cache::values`] are for one batch.
struct Parts {
    /// `[time, batch, 4H]`: values on the way forward, gradients on the way back.
    gates: Range<usize>,
    /// `[time + 1, batch, H]`: the first are the zeros before the first instant.
    cells: Range<usize>,
    /// `[time, batch, H]`: tanh of the cells.
    squashed: Range<usize>,
    /// `[batch, H]`: gradient of the cells.
    flow: Range<usize>,
    /// `[4H]`.
    bias: Range<usize>,
}

impl Lstm {
    fn gates(&self) -> usize {
        4 * self.hidden
    }

    fn parts(&self, batch: usize) -> Parts {
        let state = batch * self.hidden;
        let mut end = 0;
        let mut next = |length: usize| {
            end += length;
            end - length..end
        };
        Parts {
            gates: next(self.time * 4 * state),
            cells: next((self.time + 1) * state),
            squashed: next(self.time * state),
            flow: next(state),
            bias: next(self.gates()),
        }
    }

    pub(crate) fn cache<T: Real>(&self, rows: usize) -> Cache<T> {
        Cache::of_values(self.parts(rows).bias.end)
    }

    pub(crate) fn forward<T: Real>(
        &self,
        parameters: &[T],
        x: &[T],
        h: &mut [T],
        pass: Pass<'_, T>,
    ) {
        let Pass {
            batch,
            cache,
            scratch,
            ..
        } = pass;
        let [w_ih, w_hh, b_ih, b_hh] = self.split(parameters);
        let (state, width) = (batch * self.hidden, batch * self.gates());
        let parts = self.parts(batch);
        let [recurrent, _] = &mut cache.packed;
        let (gates, rest) = cache.values.split_at_mut(parts.gates.end);
        let (cells, rest) = rest.split_at_mut(parts.cells.len());
        let (squashed, rest) = rest.split_at_mut(parts.squashed.len());
        let bias = &mut rest[parts.flow.len()..][..parts.bias.len()];
        for ((bias, &b_ih), &b_hh) in bias.iter_mut().zip(b_ih).zip(b_hh) {
            *bias = b_ih + b_hh;
        }
        let sizes = dense::Dense {
            batch: self.time * batch,
            inputs: self.inputs,
            outputs: self.gates(),
        };
        sizes.forward(x, w_ih, bias, Activation::Identity, gates, scratch);
        recurrent.pack_transposed(self.gates(), self.hidden, w_hh);
        cells[..state].fill(T::ZERO);
        let sizes = lstm::Lstm {
            batch,
            hidden: self.hidden,
        };
        for t in 0..self.time {
            let gates = &mut gates[t * width..][..width];
            let (former, h) = h[..(t + 1) * state].split_at_mut(t * state);
            if t > 0 {
                recurrent.multiply(batch, &former[(t - 1) * state..], Output::Add, gates);
            }
            let (before, c) = cells[..(t + 2) * state].split_at_mut((t + 1) * state);
            let before = &before[t * state..];
            sizes.forward(gates, before, c, &mut squashed[t * state..][..state], h);
        }
    }

    pub(crate) fn backward<T: Real>(
        &self,
        learning: Learning<'_, T>,
        x: &[T],
        h: &[T],
        dh: &mut [T],
        dx: Option<&mut [T]>,
        pass: Pass<'_, T>,
    ) {
        let Pass {
            batch,
            cache,
            scratch,
            ..
        } = pass;
        let parameters = match &learning {
            Learning::Descend { parameters, .. } => &**parameters,
            Learning::Gradient { parameters, .. } => parameters,
        };
        self.backward_through_time(parameters, dh, batch, cache);
        let parts = self.parts(batch);
        let (gates, rest) = cache.values.split_at_mut(parts.gates.end);
        let bias = &mut rest[parts.bias.start - parts.gates.end..][..parts.bias.len()];
        if let Some(dx) = dx {
            let [w_ih, ..] = self.split(parameters);
            let shape = product(self.time * batch, self.inputs, self.gates());
            matmul(Form::Nn, shape, gates, w_ih, Output::Set, dx, scratch);
        }
        let (target, output) = match learning {
            Learning::Gradient {
                gradient, output, ..
            } => (gradient, output),
            Learning::Descend {
                parameters,
                descent,
                ..
            } => {
                if descent.decay != T::ZERO {
                    scale(parameters, T::ONE - descent.learning_rate * descent.decay);
                }
                scale(gates, -descent.learning_rate);
                (parameters, Output::Add)
            }
        };
        let [w_ih, w_hh, b_ih, b_hh] = self.split_mut(target);
        let shape = product(self.gates(), self.inputs, self.time * batch);
        matmul(Form::Tn, shape, gates, x, output, w_ih, scratch);
        let shape = product(self.gates(), self.hidden, (self.time - 1) * batch);
        let later = &gates[batch * self.gates()..];
        let former = &h[..shape.inner * self.hidden];
        matmul(Form::Tn, shape, later, former, output, w_hh, scratch);
        sum_rows(gates, bias);
        for (b, &sum) in b_ih.iter_mut().chain(b_hh).zip(bias.iter().chain(&*bias)) {
            *b = match output {
                Output::Set => sum,
                Output::Add => *b + sum,
            };
        }
    }

    /// Turns the kept gates into the gradients of their sums, last instant first.
    ///
    /// `dh` comes as the gradient from the layer above and leaves with that from the next instant
    /// added.
    fn backward_through_time<T: Real>(
        &self,
        parameters: &[T],
        dh: &mut [T],
        batch: usize,
        cache: &mut Cache<T>,
    ) {
        let [_, w_hh, ..] = self.split(parameters);
        let (state, width) = (batch * self.hidden, batch * self.gates());
        let parts = self.parts(batch);
        let [_, recurrent] = &mut cache.packed;
        recurrent.pack(self.gates(), self.hidden, w_hh);
        let (gates, rest) = cache.values.split_at_mut(parts.gates.end);
        let (cells, rest) = rest.split_at_mut(parts.cells.len());
        let (squashed, rest) = rest.split_at_mut(parts.squashed.len());
        let flow = &mut rest[..parts.flow.len()];
        flow.fill(T::ZERO);
        let sizes = lstm::Lstm {
            batch,
            hidden: self.hidden,
        };
        for t in (0..self.time).rev() {
            let gates = &mut gates[t * width..][..width];
            let (former, dh) = dh[..(t + 1) * state].split_at_mut(t * state);
            let (before, squashed) = (
                &cells[t * state..][..state],
                &squashed[t * state..][..state],
            );
            sizes.backward(gates, before, squashed, dh, flow);
            if t > 0 {
                recurrent.multiply(batch, gates, Output::Add, &mut former[(t - 1) * state..]);
            }
        }
    }

    fn split<'a, T>(&self, parameters: &'a [T]) -> [&'a [T]; 4] {
        let (w_ih, rest) = parameters.split_at(self.gates() * self.inputs);
        let (w_hh, rest) = rest.split_at(self.gates() * self.hidden);
        let (b_ih, b_hh) = rest.split_at(self.gates());
        [w_ih, w_hh, b_ih, b_hh]
    }

    fn split_mut<'a, T>(&self, parameters: &'a mut [T]) -> [&'a mut [T]; 4] {
        let (w_ih, rest) = parameters.split_at_mut(self.gates() * self.inputs);
        let (w_hh, rest) = rest.split_at_mut(self.gates() * self.hidden);
        let (b_ih, b_hh) = rest.split_at_mut(self.gates());
        [w_ih, w_hh, b_ih, b_hh]
    }
}

fn product(rows: usize, columns: usize, inner: usize) -> Shape {
    Shape {
        rows,
        columns,
        inner,
    }
}

fn scale<T: Real>(values: &mut [T], factor: T) {
    values.iter_mut().for_each(|value| *value *= factor);
}

/// Writes the sum of all rows of `values`.
fn sum_rows<T: Real>(values: &[T], sum: &mut [T]) {
    sum.fill(T::ZERO);
    for row in values.chunks_exact(sum.len()) {
        super::skip::add(sum, row);
    }
}

/// The values of the last instant of a sequence.
#[derive(Debug, Clone)]
pub(crate) struct Last;

impl Last {
    pub(crate) fn forward<T: Real>(&self, x: &[T], y: &mut [T]) {
        y.copy_from_slice(&x[x.len() - y.len()..]);
    }

    pub(crate) fn backward<T: Real>(&self, dy: &[T], dx: &mut [T]) {
        let earlier = dx.len() - dy.len();
        dx[..earlier].fill(T::ZERO);
        dx[earlier..].copy_from_slice(dy);
    }
}
