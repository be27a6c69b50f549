//! Dense layer `y = activation(x Wᵀ + b)`, over the last axis; parameters `W [outputs, inputs]`, `b`.

use commonweal_kernels::{Activation, Real, dense};

use super::{Learning, Pass};

#[derive(Debug, Clone)]
pub(crate) struct Dense {
    /// Rows that one example has: 1, or one an instant.
    pub(crate) rows: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) activation: Activation,
}

impl Dense {
    fn sizes(&self, batch: usize) -> dense::Dense {
        dense::Dense {
            batch: batch * self.rows,
            inputs: self.inputs,
            outputs: self.outputs,
        }
    }

    fn weights(&self) -> usize {
        self.inputs * self.outputs
    }

    pub(crate) fn forward<T: Real>(
        &self,
        parameters: &[T],
        x: &[T],
        y: &mut [T],
        pass: Pass<'_, T>,
    ) {
        let (w, b) = parameters.split_at(self.weights());
        self.sizes(pass.batch)
            .forward(x, w, b, self.activation, y, pass.scratch);
    }

    pub(crate) fn backward<T: Real>(
        &self,
        learning: Learning<'_, T>,
        x: &[T],
        y: &[T],
        dy: &mut [T],
        dx: Option<&mut [T]>,
        pass: Pass<'_, T>,
    ) {
        self.activation.backward(y, dy);
        let sizes = self.sizes(pass.batch);
        match learning {
            Learning::Descend {
                parameters,
                descent,
                ..
            } => {
                let (w, b) = parameters.split_at_mut(self.weights());
                sizes.descend(x, w, b, dy, descent, dx, pass.scratch);
            }
            Learning::Gradient {
                parameters,
                gradient,
                output,
            } => {
                let w = &parameters[..self.weights()];
                let (dw, db) = gradient.split_at_mut(self.weights());
                sizes.backward(x, w, dy, output, dw, db, dx, pass.scratch);
            }
        }
    }
}
