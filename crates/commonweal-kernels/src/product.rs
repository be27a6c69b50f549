//! Products of row-major matrices.

use crate::{Real, Workspace};

/// Which factor is stored transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `C = A · B`: `a` is `[rows, inner]`, `b` is `[inner, columns]`.
    Nn,
    /// `C = A · Bᵀ`: `a` is `[rows, inner]`, `b` is `[columns, inner]`.
    Nt,
    /// `C = Aᵀ · B`: `a` is `[inner, rows]`, `b` is `[inner, columns]`.
    Tn,
}

/// Sizes of a product: `C` is `[rows, columns]`, summed over `inner`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows of `C`.
    pub rows: usize,
    /// Columns of `C`.
    pub columns: usize,
    /// Length of the sum.
    pub inner: usize,
}

/// What happens to the former content of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Output {
    /// Overwritten.
    Set,
    /// Added to.
    Add,
}

/// Writes the product of `a` and `b` into (or adds it to) `c`.
///
/// # Panics
/// If a length does not fit `shape`.
pub fn matmul<T: Real>(
    form: Form,
    shape: Shape,
    a: &[T],
    b: &[T],
    output: Output,
    c: &mut [T],
    _workspace: &mut Workspace<T>,
) {
    let Shape {
        rows,
        columns,
        inner,
    } = shape;
    assert_eq!(a.len(), rows * inner);
    assert_eq!(b.len(), inner * columns);
    assert_eq!(c.len(), rows * columns);
    if output == Output::Set {
        c.fill(T::ZERO);
    }
    for i in 0..rows {
        for j in 0..columns {
            let mut sum = T::ZERO;
            for l in 0..inner {
                let x = if form == Form::Tn {
                    a[l * rows + i]
                } else {
                    a[i * inner + l]
                };
                let y = if form == Form::Nt {
                    b[j * inner + l]
                } else {
                    b[l * columns + j]
                };
                sum += x * y;
            }
            c[i * columns + j] += sum;
        }
    }
}

/// The right factor of many products, packed once: the recurrent weights of an LSTM over its steps.
#[derive(Debug, Clone, Default)]
pub struct Packed<T> {
    columns: usize,
    inner: usize,
    panels: Vec<T>,
}

impl<T: Real> Packed<T> {
    /// No matrix yet.
    pub fn new() -> Self {
        Self {
            columns: 0,
            inner: 0,
            panels: Vec::new(),
        }
    }

    /// Packs `b` of `[inner, columns]`, for `C = A · B`. Allocates only if larger than any before.
    ///
    /// # Panics
    /// If `b` has another length.
    pub fn pack(&mut self, inner: usize, columns: usize, b: &[T]) {
        assert_eq!(b.len(), inner * columns);
        (self.columns, self.inner) = (columns, inner);
        self.panels.clear();
        self.panels.extend_from_slice(b);
    }

    /// Packs `b` of `[columns, inner]`, for `C = A · Bᵀ`. Allocates only if larger than any before.
    ///
    /// # Panics
    /// If `b` has another length.
    pub fn pack_transposed(&mut self, columns: usize, inner: usize, b: &[T]) {
        assert_eq!(b.len(), inner * columns);
        (self.columns, self.inner) = (columns, inner);
        self.panels.clear();
        for l in 0..inner {
            self.panels.extend((0..columns).map(|j| b[j * inner + l]));
        }
    }

    /// Writes `a · B` into (or adds it to) `c`: `a` is `[rows, inner]`, `c` is `[rows, columns]`.
    ///
    /// # Panics
    /// If a length does not fit the packed matrix.
    pub fn multiply(&self, rows: usize, a: &[T], output: Output, c: &mut [T]) {
        let shape = Shape {
            rows,
            columns: self.columns,
            inner: self.inner,
        };
        matmul(
            Form::Nn,
            shape,
            a,
            &self.panels,
            output,
            c,
            &mut Workspace::new(),
        );
    }
}
