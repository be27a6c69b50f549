//! Convolution of images; parameters `W [outputs, inputs, rows, columns]`, `b`.

use commonweal_kernels::{Activation, Real, conv};

use super::{Learning, Pass};

#[derive(Debug, Clone)]
pub(crate) struct Conv2d {
    /// Sizes for one image.
    pub(crate) sizes: conv::Conv,
    pub(crate) activation: Activation,
}

impl Conv2d {
    /// Values of the weight.
    pub(crate) fn weights(&self) -> usize {
        let conv::Conv {
            inputs,
            outputs,
            kernel,
            ..
        } = self.sizes;
        outputs * inputs * kernel[0] * kernel[1]
    }

    pub(crate) fn forward<T: Real>(
        &self,
        parameters: &[T],
        x: &[T],
        y: &mut [T],
        pass: Pass<'_, T>,
    ) {
        let (w, b) = parameters.split_at(self.weights());
        let sizes = conv::Conv {
            batch: pass.batch,
            ..self.sizes
        };
        sizes.forward(x, w, b, y, pass.scratch);
        if self.activation != Activation::Identity {
            self.activation.forward(y);
        }
    }

    pub(crate) fn backward<T: Real>(
        &self,
        mut learning: Learning<'_, T>,
        x: &[T],
        y: &[T],
        dy: &mut [T],
        dx: Option<&mut [T]>,
        pass: Pass<'_, T>,
    ) {
        if self.activation != Activation::Identity {
            self.activation.backward(y, dy);
        }
        let sizes = conv::Conv {
            batch: pass.batch,
            ..self.sizes
        };
        learning.apply(|parameters, output, gradient| {
            let w = &parameters[..self.weights()];
            let (dw, db) = gradient.split_at_mut(self.weights());
            sizes.backward(x, w, dy, output, dw, db, dx, pass.scratch);
        });
    }
}
