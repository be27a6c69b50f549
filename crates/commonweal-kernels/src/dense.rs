//! The dense layer `Y = activation(X · Wᵀ + b)`, with `W` of `[outputs, inputs]` as in PyTorch.

use crate::product::{Form, Output, Shape, matmul};
use crate::{Activation, Real, Workspace};

/// Sizes of a dense layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dense {
    /// Rows of `X` and `Y`.
    pub batch: usize,
    /// Columns of `X` and `W`.
    pub inputs: usize,
    /// Columns of `Y`, rows of `W`.
    pub outputs: usize,
}

/// Plain gradient descent: `w ← w − learning_rate · (dw + decay · w)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Descent<T> {
    /// Step size.
    pub learning_rate: T,
    /// Weight decay (L2), per unit of `w`; applied to the bias too, as PyTorch does.
    pub decay: T,
}

impl Dense {
    /// Writes `y = activation(x · wᵀ + b)`; `b` is empty for a layer without bias.
    ///
    /// # Panics
    /// If a length does not fit the sizes.
    pub fn forward<T: Real>(
        self,
        x: &[T],
        w: &[T],
        b: &[T],
        activation: Activation,
        y: &mut [T],
        workspace: &mut Workspace<T>,
    ) {
        let shape = Shape {
            rows: self.batch,
            columns: self.outputs,
            inner: self.inputs,
        };
        matmul(Form::Nt, shape, x, w, Output::Set, y, workspace);
        if !b.is_empty() {
            for row in y.chunks_exact_mut(self.outputs) {
                for (y, &b) in row.iter_mut().zip(b) {
                    *y += b;
                }
            }
        }
        activation.forward(y);
    }

    /// Writes (or adds) `dw = dyᵀ · x` and `db = Σ dy`, and writes `dx = dy · w` if asked.
    ///
    /// `dy` is the gradient before the activation; `db` is empty for a layer without bias.
    ///
    /// # Panics
    /// If a length does not fit the sizes.
    #[expect(clippy::too_many_arguments, reason = "the layer's tensors")]
    pub fn backward<T: Real>(
        self,
        x: &[T],
        w: &[T],
        dy: &[T],
        output: Output,
        dw: &mut [T],
        db: &mut [T],
        dx: Option<&mut [T]>,
        workspace: &mut Workspace<T>,
    ) {
        let shape = Shape {
            rows: self.outputs,
            columns: self.inputs,
            inner: self.batch,
        };
        matmul(Form::Tn, shape, dy, x, output, dw, workspace);
        if let Some(dx) = dx {
            let shape = Shape {
                rows: self.batch,
                columns: self.inputs,
                inner: self.outputs,
            };
            matmul(Form::Nn, shape, dy, w, Output::Set, dx, workspace);
        }
        if !db.is_empty() {
            if output == Output::Set {
                db.fill(T::ZERO);
            }
            for row in dy.chunks_exact(self.outputs) {
                for (db, &dy) in db.iter_mut().zip(row) {
                    *db += dy;
                }
            }
        }
    }

    /// One step of plain gradient descent on `w` and `b` without storing their gradients, and
    /// `dx = dy · w` (with the old `w`) if asked, in one pass over the weights.
    ///
    /// `dy` is the gradient before the activation; `b` is empty for a layer without bias.
    ///
    /// # Panics
    /// If a length does not fit the sizes.
    #[expect(clippy::too_many_arguments, reason = "the layer's tensors")]
    pub fn descend<T: Real>(
        self,
        x: &[T],
        w: &mut [T],
        b: &mut [T],
        dy: &[T],
        descent: Descent<T>,
        dx: Option<&mut [T]>,
        workspace: &mut Workspace<T>,
    ) {
        if let Some(dx) = dx {
            let shape = Shape {
                rows: self.batch,
                columns: self.inputs,
                inner: self.outputs,
            };
            matmul(Form::Nn, shape, dy, w, Output::Set, dx, workspace);
        }
        let Descent {
            learning_rate,
            decay,
        } = descent;
        let keep = T::ONE - learning_rate * decay;
        for o in 0..self.outputs {
            for i in 0..self.inputs {
                let sum: T = (0..self.batch)
                    .map(|s| dy[s * self.outputs + o] * x[s * self.inputs + i])
                    .sum();
                let w = &mut w[o * self.inputs + i];
                *w = *w * keep - learning_rate * sum;
            }
            if !b.is_empty() {
                let sum: T = (0..self.batch).map(|s| dy[s * self.outputs + o]).sum();
                b[o] = b[o] * keep - learning_rate * sum;
            }
        }
    }
}
