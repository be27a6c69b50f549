//! Convolution of `[batch, channels, height, width]` images, with PyTorch's weights
//! `[outputs, inputs, rows, columns]`.

use crate::product::{Form, Output, Shape, matmul_in};
use crate::{Real, Workspace};

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Images.
    pub batch: usize,
    /// Channels of an input image.
    pub inputs: usize,
    /// Channels of an output image.
    pub outputs: usize,
    /// Rows of an input image.
    pub height: usize,
    /// Columns of an input image.
    pub width: usize,
    /// Rows and columns of the kernel; at least 1.
    pub kernel: [usize; 2],
    /// Rows and columns from one window to the next; at least 1.
    pub stride: [usize; 2],
    /// Rows and columns of zeros around an image.
    pub padding: [usize; 2],
}

impl Conv {
    /// Rows and columns of an output image.
    pub fn output_size(self) -> [usize; 2] {
        let count = |size: usize, axis: usize| match (size + 2 * self.padding[axis])
            .checked_sub(self.kernel[axis])
        {
            Some(rest) => rest / self.stride[axis] + 1,
            None => 0,
        };
        [count(self.height, 0), count(self.width, 1)]
    }

    /// Writes `y`, the convolution of `x` with `w`, plus `b`; `b` is empty for a layer without bias.
    ///
    /// # Panics
    /// If a length does not fit the sizes.
    pub fn forward<T: Real>(
        self,
        x: &[T],
        w: &[T],
        b: &[T],
        y: &mut [T],
        workspace: &mut Workspace<T>,
    ) {
        let (patch, places) = self.check(x.len(), w.len(), y.len());
        let (columns, scratch) = workspace.split(patch * places);
        for image in 0..self.batch {
            self.unfold(&x[image * self.image()..][..self.image()], columns);
            let y = &mut y[image * self.outputs * places..][..self.outputs * places];
            let shape = Shape {
                rows: self.outputs,
                columns: places,
                inner: patch,
            };
            matmul_in(Form::Nn, shape, w, columns, Output::Set, y, scratch);
            if !b.is_empty() {
                for (y, &b) in y.chunks_exact_mut(places.max(1)).zip(b) {
                    y.iter_mut().for_each(|y| *y += b);
                }
            }
        }
    }

    /// Writes (or adds) the gradients of `w` and `b`, and writes `dx` if asked.
    ///
    /// `db` is empty for a layer without bias.
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
        mut dx: Option<&mut [T]>,
        workspace: &mut Workspace<T>,
    ) {
        let (patch, places) = self.check(x.len(), w.len(), dy.len());
        let (columns, scratch) = workspace.split(patch * places);
        if output == Output::Set {
            dw.fill(T::ZERO);
            db.fill(T::ZERO);
        }
        if let Some(dx) = dx.as_deref_mut() {
            dx.fill(T::ZERO);
        }
        for image in 0..self.batch {
            self.unfold(&x[image * self.image()..][..self.image()], columns);
            let dy = &dy[image * self.outputs * places..][..self.outputs * places];
            let shape = Shape {
                rows: self.outputs,
                columns: patch,
                inner: places,
            };
            matmul_in(Form::Nt, shape, dy, columns, Output::Add, dw, scratch);
            for (db, dy) in db.iter_mut().zip(dy.chunks_exact(places.max(1))) {
                *db += dy.iter().copied().sum();
            }
            if let Some(dx) = dx.as_deref_mut() {
                let shape = Shape {
                    rows: patch,
                    columns: places,
                    inner: self.outputs,
                };
                matmul_in(Form::Tn, shape, w, dy, Output::Set, columns, scratch);
                self.fold(columns, &mut dx[image * self.image()..][..self.image()]);
            }
        }
    }

    /// `columns[patch, place]` of one image: every value that a kernel's place sees, zeros outside.
    fn unfold<T: Real>(self, image: &[T], columns: &mut [T]) {
        self.each_value(|at, from| columns[at] = from.map_or(T::ZERO, |from| image[from]));
    }

    /// Adds every value of `columns` to the place of the image that it was taken from.
    fn fold<T: Real>(self, columns: &[T], image: &mut [T]) {
        self.each_value(|at, from| {
            if let Some(from) = from {
                image[from] += columns[at];
            }
        });
    }

    /// Calls `visit(place in the columns, place in the image unless it is padding)`.
    fn each_value(self, mut visit: impl FnMut(usize, Option<usize>)) {
        let [rows, columns] = self.output_size();
        let mut at = 0;
        for channel in 0..self.inputs {
            for kernel_row in 0..self.kernel[0] {
                for kernel_column in 0..self.kernel[1] {
                    for row in 0..rows {
                        let y = (row * self.stride[0] + kernel_row).wrapping_sub(self.padding[0]);
                        for column in 0..columns {
                            let x = (column * self.stride[1] + kernel_column)
                                .wrapping_sub(self.padding[1]);
                            let inside = y < self.height && x < self.width;
                            let from = (channel * self.height + y.min(self.height)) * self.width;
                            visit(at, inside.then(|| from + x));
                            at += 1;
                        }
                    }
                }
            }
        }
    }

    fn image(self) -> usize {
        self.inputs * self.height * self.width
    }

    /// Values under the kernel and places of the kernel, once all lengths fit.
    fn check(self, x: usize, w: usize, y: usize) -> (usize, usize) {
        let [rows, columns] = self.output_size();
        let patch = self.inputs * self.kernel[0] * self.kernel[1];
        assert_eq!(x, self.batch * self.image());
        assert_eq!(w, self.outputs * patch);
        assert_eq!(y, self.batch * self.outputs * rows * columns);
        (patch, rows * columns)
    }
}
