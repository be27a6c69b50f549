//! Embedding: the row of a table for each token; parameters `W [vocabulary, dimension]`.

use commonweal_kernels::Real;
use commonweal_kernels::product::Output;

use super::{Learning, Pass, skip};

#[derive(Debug, Clone)]
pub(crate) struct Embedding {
    pub(crate) dimension: usize,
}

impl Embedding {
    pub(crate) fn forward<T: Real>(&self, parameters: &[T], y: &mut [T], pass: Pass<'_, T>) {
        for (y, &token) in y.chunks_exact_mut(self.dimension).zip(pass.tokens) {
            y.copy_from_slice(&parameters[token as usize * self.dimension..][..self.dimension]);
        }
    }

    pub(crate) fn backward<T: Real>(&self, learning: Learning<'_, T>, dy: &[T], pass: Pass<'_, T>) {
        match learning {
            Learning::Descend {
                parameters,
                descent,
                ..
            } => {
                if descent.decay != T::ZERO {
                    let keep = T::ONE - descent.learning_rate * descent.decay;
                    parameters.iter_mut().for_each(|w| *w *= keep);
                }
                self.each_row(dy, pass.tokens, parameters, |w, dy| {
                    for (w, &dy) in w.iter_mut().zip(dy) {
                        *w -= descent.learning_rate * dy;
                    }
                });
            }
            Learning::Gradient {
                gradient, output, ..
            } => {
                if output == Output::Set {
                    gradient.fill(T::ZERO);
                }
                self.each_row(dy, pass.tokens, gradient, skip::add);
            }
        }
    }

    /// Gives `change` the row of every token, and that token's gradient.
    fn each_row<T: Real>(
        &self,
        dy: &[T],
        tokens: &[u32],
        table: &mut [T],
        change: impl Fn(&mut [T], &[T]),
    ) {
        for (dy, &token) in dy.chunks_exact(self.dimension).zip(tokens) {
            change(
                &mut table[token as usize * self.dimension..][..self.dimension],
                dy,
            );
        }
    }
}
