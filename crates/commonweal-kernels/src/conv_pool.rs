//! A convolution and the 2 × 2 max-pool behind it as one layer.
//!
//! Forward, the four places of a pool's window are neighbours in one register tile: the convolution's
//! own output, four times as large, is never stored. Backward, only the largest of four places has a
//! gradient (none where a ReLU is off): the layer goes through those alone and does at most a quarter
//! of the work of a dense product. Images are turned to channels-last with their padding around them,
//! so that what a kernel's row sees is contiguous.

mod backward;
mod forward;

use crate::conv::Conv;
use crate::pool::Pool;
use crate::product::Output;
use crate::simd::dispatch;
use crate::{Real, Workspace};

/// Sizes of a convolution with a max-pool behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvPool {
    conv: Conv,
}

impl ConvPool {
    /// The layer, if the convolution moves by 1 and the pool has windows of 2 × 2 side by side.
    pub fn new(conv: Conv, pool: Pool) -> Option<Self> {
        let [height, width] = conv.output_size();
        let follows = pool.planes == conv.batch * conv.outputs
            && [pool.height, pool.width] == [height, width];
        let fits = conv.stride == [1, 1] && pool.window == [2, 2] && pool.stride == [2, 2];
        (follows && fits).then_some(Self { conv })
    }

    /// The same layer for another number of images.
    pub fn with_batch(self, batch: usize) -> Self {
        Self {
            conv: Conv { batch, ..self.conv },
        }
    }

    /// Rows and columns of a pooled image.
    pub fn output_size(self) -> [usize; 2] {
        self.conv.output_size().map(|size| size / 2)
    }

    /// Writes `y`, the largest of each window of the convolution plus `b`, and its place in the
    /// convolution's output image (the first of equals), as [`Pool::max_forward`] does. `b` is empty
    /// for a layer without bias. A NaN beside numbers in one window may be passed over.
    ///
    /// # Panics
    /// If a length does not fit the sizes.
    pub fn forward<T: Real>(
        self,
        x: &[T],
        w: &[T],
        b: &[T],
        y: &mut [T],
        places: &mut [u32],
        workspace: &mut Workspace<T>,
    ) {
        self.check(x.len(), w.len(), y.len(), places.len());
        assert!(b.is_empty() || b.len() == self.conv.outputs);
        if y.is_empty() {
            return;
        }
        let sizes = forward::Lengths::of(self);
        let (scratch, _) = workspace.split(sizes.total());
        let [padded, panels, best, index] = sizes.split(scratch);
        self.pad(x, padded);
        self.pack(w, panels);
        dispatch(forward::Forward {
            sizes: self,
            padded,
            panels,
            best,
            index,
        });
        self.finish(b, best, index, y, places);
    }

    /// Writes (or adds) the gradients of `w` and `b`, and writes `dx` if asked, from the gradient of
    /// the pooled output and the places that [`ConvPool::forward`] found.
    ///
    /// `db` is empty for a layer without bias. Zeros in `dy` cost almost nothing.
    ///
    /// # Panics
    /// If a length does not fit the sizes, or a place lies outside its window.
    #[expect(clippy::too_many_arguments, reason = "the layer's tensors")]
    pub fn backward<T: Real>(
        self,
        x: &[T],
        w: &[T],
        dy: &[T],
        places: &[u32],
        output: Output,
        dw: &mut [T],
        db: &mut [T],
        dx: Option<&mut [T]>,
        workspace: &mut Workspace<T>,
    ) {
        self.check(x.len(), w.len(), dy.len(), places.len());
        assert_eq!(dw.len(), w.len());
        assert!(db.is_empty() || db.len() == self.conv.outputs);
        if output == Output::Set {
            dw.fill(T::ZERO);
            db.fill(T::ZERO);
        }
        self.add_bias_gradient(dy, db);
        let sizes = backward::Lengths::of(self, dx.is_some());
        let (scratch, offsets) = workspace.with_places(sizes.total(), self.windows());
        let [padded, weights, gradient, padded_gradient, values] = sizes.split(scratch);
        self.pad(x, padded);
        self.turn(w, weights);
        gradient.fill(T::ZERO);
        padded_gradient.fill(T::ZERO);
        dispatch(backward::Backward {
            sizes: self,
            dy,
            places,
            padded,
            weights,
            gradient,
            padded_gradient,
            offsets,
            values,
        });
        self.add_turned_back(gradient, dw);
        if let Some(dx) = dx {
            assert_eq!(dx.len(), x.len());
            self.unpad(padded_gradient, dx);
        }
    }

    /// Windows of one image.
    fn windows(self) -> usize {
        let [rows, columns] = self.output_size();
        rows * columns
    }

    /// Rows and columns of a padded image.
    fn padded_size(self) -> [usize; 2] {
        let Conv {
            height,
            width,
            padding,
            ..
        } = self.conv;
        [height + 2 * padding[0], width + 2 * padding[1]]
    }

    /// Values of one padded image.
    fn padded_image(self) -> usize {
        let [height, width] = self.padded_size();
        height * width * self.conv.inputs
    }

    /// Values from one row of a padded image to the next.
    fn padded_row(self) -> usize {
        self.padded_size()[1] * self.conv.inputs
    }

    /// Values that one row of the kernel sees: contiguous in a padded image.
    fn run(self) -> usize {
        self.conv.kernel[1] * self.conv.inputs
    }

    /// Values that the kernel sees.
    fn patch(self) -> usize {
        self.conv.kernel[0] * self.run()
    }

    /// Writes the images channels-last with zeros around them.
    fn pad<T: Real>(self, x: &[T], padded: &mut [T]) {
        padded.fill(T::ZERO);
        self.each_pixel(|channel_first, channel_last, width| {
            let to = &mut padded[channel_last..];
            for (to, &from) in to
                .iter_mut()
                .step_by(self.conv.inputs)
                .zip(&x[channel_first..channel_first + width])
            {
                *to = from;
            }
        });
    }

    /// Writes the gradient of the images from that of the padded ones.
    fn unpad<T: Real>(self, padded: &[T], dx: &mut [T]) {
        self.each_pixel(|channel_first, channel_last, width| {
            let from = padded[channel_last..].iter().step_by(self.conv.inputs);
            for (to, &from) in dx[channel_first..channel_first + width]
                .iter_mut()
                .zip(from)
            {
                *to = from;
            }
        });
    }

    /// Calls `visit(place in the images, place in the padded images, width)` for every row of every
    /// channel.
    fn each_pixel(self, mut visit: impl FnMut(usize, usize, usize)) {
        let Conv {
            batch,
            inputs,
            height,
            width,
            padding,
            ..
        } = self.conv;
        for image in 0..batch {
            for row in 0..height {
                let to = image * self.padded_image()
                    + (row + padding[0]) * self.padded_row()
                    + padding[1] * inputs;
                for channel in 0..inputs {
                    visit(
                        ((image * inputs + channel) * height + row) * width,
                        to + channel,
                        width,
                    );
                }
            }
        }
    }

    fn check(self, x: usize, w: usize, y: usize, places: usize) {
        let Conv {
            batch,
            inputs,
            outputs,
            height,
            width,
            ..
        } = self.conv;
        assert_eq!(x, batch * inputs * height * width);
        assert_eq!(w, outputs * self.patch());
        assert_eq!(y, batch * outputs * self.windows());
        assert_eq!(y, places);
    }
}

/// Splits a buffer into consecutive parts.
fn parts<const N: usize, T>(buffer: &mut [T], lengths: [usize; N]) -> [&mut [T]; N] {
    let mut rest = buffer;
    lengths.map(|length| {
        let (part, after) = core::mem::take(&mut rest).split_at_mut(length);
        rest = after;
        part
    })
}
