//! The dense layer `Y = activation(X · Wᵀ + b)`, with `W` of `[outputs, inputs]` as in PyTorch.
//!
//! At small batches the layer is bound by memory. Its way back therefore goes through the weights
//! once, in strips of columns that stay in the cache between the input gradient, which needs the old
//! weights, and their update.

use crate::activation::activate;
use crate::product::{Form, Output, Shape, matmul, matmul_in};
use crate::simd::{Kernel, Simd, dispatch};
use crate::tile::{Start, Tile, runs};
use crate::workspace::Buffer;
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
        assert!(b.is_empty() || b.len() == self.outputs);
        let shape = Shape {
            rows: self.batch,
            columns: self.outputs,
            inner: self.inputs,
        };
        matmul(Form::Nt, shape, x, w, Output::Set, y, workspace);
        dispatch(Finish { b, activation, y });
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
        let start = output.start();
        self.update_bias(db, dy, T::ONE, start);
        assert_eq!(w.len(), dw.len());
        if self.batch > MOST_ROWS_IN_ONE_PASS {
            if let Some(dx) = dx {
                self.input_gradient(dy, w, dx, workspace.panels());
            }
            self.weight_gradient(dy, x, output, dw, workspace.panels());
            return;
        }
        let target = Target {
            old: w.as_ptr(),
            new: dw,
            factor: T::ONE,
            start,
        };
        self.update(x, dy, target, dx, workspace);
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
        let factor = -descent.learning_rate;
        let start = Start::Keep(T::ONE + factor * descent.decay);
        self.update_bias(b, dy, factor, start);
        if self.batch > MOST_ROWS_IN_ONE_PASS {
            if let Some(dx) = dx {
                self.input_gradient(dy, w, dx, workspace.panels());
            }
            if descent.decay != T::ZERO {
                let keep = T::ONE + factor * descent.decay;
                w.iter_mut().for_each(|w| *w *= keep);
            }
            let (scaled, panels) = workspace.split(dy.len());
            for (scaled, &dy) in scaled.iter_mut().zip(dy) {
                *scaled = factor * dy;
            }
            self.weight_gradient(scaled, x, Output::Add, w, panels);
            return;
        }
        let old = w.as_mut_ptr().cast_const();
        self.update(
            x,
            dy,
            Target {
                old,
                new: w,
                factor,
                start,
            },
            dx,
            workspace,
        );
    }

    /// `dx = dy · w`.
    fn input_gradient<T: Real>(self, dy: &[T], w: &[T], dx: &mut [T], panels: &mut Buffer<T>) {
        let shape = Shape {
            rows: self.batch,
            columns: self.inputs,
            inner: self.outputs,
        };
        matmul_in(Form::Nn, shape, dy, w, Output::Set, dx, panels);
    }

    /// `dyᵀ · x`, into `dw` or added to it.
    fn weight_gradient<T: Real>(
        self,
        dy: &[T],
        x: &[T],
        output: Output,
        dw: &mut [T],
        panels: &mut Buffer<T>,
    ) {
        let shape = Shape {
            rows: self.outputs,
            columns: self.inputs,
            inner: self.batch,
        };
        matmul_in(Form::Tn, shape, dy, x, output, dw, panels);
    }

    fn update<T: Real>(
        self,
        x: &[T],
        dy: &[T],
        target: Target<'_, T>,
        dx: Option<&mut [T]>,
        workspace: &mut Workspace<T>,
    ) {
        let Self {
            batch,
            inputs,
            outputs,
        } = self;
        assert_eq!(x.len(), batch * inputs);
        assert_eq!(dy.len(), batch * outputs);
        assert_eq!(target.new.len(), outputs * inputs);
        assert!(dx.as_ref().is_none_or(|dx| dx.len() == batch * inputs));
        let (scaled, packed) = workspace.split(2 * dy.len()).0.split_at_mut(dy.len());
        dispatch(Update {
            sizes: self,
            x,
            dy,
            target,
            dx,
            scaled,
            packed,
        });
    }

    /// `b ← start + factor · Σ dy` over the rows.
    fn update_bias<T: Real>(self, b: &mut [T], dy: &[T], factor: T, start: Start<T>) {
        if b.is_empty() {
            return;
        }
        assert_eq!(b.len(), self.outputs);
        match start {
            Start::Zero => b.fill(T::ZERO),
            Start::Keep(keep) => b.iter_mut().for_each(|b| *b *= keep),
        }
        for row in dy.chunks_exact(self.outputs) {
            for (b, &dy) in b.iter_mut().zip(row) {
                *b += factor * dy;
            }
        }
    }
}

/// Adds the bias to every row and applies the activation.
struct Finish<'a, T> {
    b: &'a [T],
    activation: Activation,
    y: &'a mut [T],
}

impl<T: Real> Kernel for Finish<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        if !self.b.is_empty() {
            for row in self.y.chunks_exact_mut(self.b.len()) {
                for (y, &b) in row.iter_mut().zip(self.b) {
                    *y += b;
                }
            }
        }
        activate::<T, S>(self.activation, self.y);
    }
}

/// `new ← start + factor · dyᵀ · x`, where `old` are the weights and may be the same memory.
struct Target<'a, T> {
    old: *const T,
    new: &'a mut [T],
    factor: T,
    start: Start<T>,
}

struct Update<'a, T> {
    sizes: Dense,
    x: &'a [T],
    dy: &'a [T],
    target: Target<'a, T>,
    dx: Option<&'a mut [T]>,
    /// `factor · dy`.
    scaled: &'a mut [T],
    /// `dyᵀ` in panels of as many columns as a tile has rows.
    packed: &'a mut [T],
}

impl<T: Real> Kernel for Update<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Dense {
            batch,
            inputs,
            outputs,
        } = self.sizes;
        for (scaled, &dy) in self.scaled.iter_mut().zip(self.dy) {
            *scaled = self.target.factor * dy;
        }
        let (dx, has_dx) = match self.dx {
            Some(dx) => (dx.as_mut_ptr(), true),
            None => (core::ptr::null_mut(), false),
        };
        if has_dx {
            for (first, rows) in runs(batch, S::TILE_ROWS) {
                let panel = &mut self.packed[first * outputs..][..rows * outputs];
                for r in 0..rows {
                    let row = &self.dy[(first + r) * outputs..][..outputs];
                    for (to, &dy) in panel.chunks_exact_mut(rows).zip(row) {
                        to[r] = dy;
                    }
                }
            }
        }
        let new = self.target.new.as_mut_ptr();
        for j in (0..inputs).step_by(STRIP) {
            let columns = STRIP.min(inputs - j);
            // SAFETY: `Dense::update` checked all lengths; rows and columns of every tile lie within
            // the matrices; the input gradient of a strip is done before its weights change.
            unsafe {
                for (first, rows) in runs(if has_dx { batch } else { 0 }, S::TILE_ROWS) {
                    let tile = Tile {
                        inner: outputs,
                        a: self.packed.as_ptr().add(first * outputs),
                        a_step: rows,
                        b: self.target.old.add(j),
                        b_step: inputs,
                        c: dx.add(first * inputs + j),
                        c_step: inputs,
                        start: Start::Zero,
                    };
                    tile.run::<S>(rows, columns);
                }
                for (first, rows) in runs(outputs, S::TILE_ROWS) {
                    let tile = Tile {
                        inner: batch,
                        a: self.scaled.as_ptr().add(first),
                        a_step: outputs,
                        b: self.x.as_ptr().add(j),
                        b_step: inputs,
                        c: new.add(first * inputs + j),
                        c_step: inputs,
                        start: self.target.start,
                    };
                    tile.run::<S>(rows, columns);
                }
            }
        }
    }
}

/// Rows up to which memory bounds the layer: the products of larger batches are blocked instead.
const MOST_ROWS_IN_ONE_PASS: usize = 64;
/// Columns of a strip: two vectors of the widest set.
const STRIP: usize = 32;
