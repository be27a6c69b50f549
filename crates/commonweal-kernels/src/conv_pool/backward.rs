//! The way back: through the places that have a gradient, one output channel at a time.
//!
//! For one channel and one row of the kernel the weights and their gradient stay in registers, while
//! every place of an image adds `value · x` to the gradient of the weights and `value · w` to that of
//! the image.

use super::{ConvPool, parts};
use crate::Real;
use crate::conv::Conv;
use crate::simd::{Kernel, Simd, Vector};

/// A buffer that starts at a cache line is followed by one that does.
const LINE: usize = 16;

/// Lengths of the buffers.
pub(super) struct Lengths([usize; 5]);

impl Lengths {
    pub(super) fn of(sizes: ConvPool, with_input: bool) -> Self {
        let padded = (sizes.conv.batch * sizes.padded_image()).next_multiple_of(LINE);
        let weights = (sizes.conv.outputs * sizes.patch()).next_multiple_of(LINE);
        Self([
            padded,
            weights,
            weights,
            if with_input { padded } else { 0 },
            sizes.windows(),
        ])
    }

    pub(super) fn total(&self) -> usize {
        self.0.iter().sum()
    }

    pub(super) fn split<'a, T>(&self, scratch: &'a mut [T]) -> [&'a mut [T]; 5] {
        parts(scratch, self.0)
    }
}

impl ConvPool {
    /// Writes the weights as `[outputs, rows, columns, inputs]`.
    pub(super) fn turn<T: Real>(self, w: &[T], turned: &mut [T]) {
        self.each_weight(|turned_at, at| turned[turned_at] = w[at]);
    }

    /// Adds the gradient of the turned weights to `dw`.
    pub(super) fn add_turned_back<T: Real>(self, turned: &[T], dw: &mut [T]) {
        self.each_weight(|turned_at, at| dw[at] += turned[turned_at]);
    }

    /// Calls `visit(place in the turned weights, place in the weights)`.
    fn each_weight(self, mut visit: impl FnMut(usize, usize)) {
        let Conv {
            inputs,
            outputs,
            kernel,
            ..
        } = self.conv;
        let area = kernel[0] * kernel[1];
        for output in 0..outputs {
            let first = output * self.patch();
            for place in 0..area {
                for input in 0..inputs {
                    visit(first + place * inputs + input, first + input * area + place);
                }
            }
        }
    }

    /// Adds the sum of `dy` over images and windows to `db`.
    pub(super) fn add_bias_gradient<T: Real>(self, dy: &[T], db: &mut [T]) {
        if db.is_empty() || dy.is_empty() {
            return;
        }
        for (plane, dy) in dy.chunks_exact(self.windows()).enumerate() {
            db[plane % self.conv.outputs] += dy.iter().copied().sum();
        }
    }
}

pub(super) struct Backward<'a, T> {
    pub(super) sizes: ConvPool,
    pub(super) dy: &'a [T],
    pub(super) places: &'a [u32],
    pub(super) padded: &'a [T],
    pub(super) weights: &'a [T],
    pub(super) gradient: &'a mut [T],
    /// Empty if no gradient of the input is asked.
    pub(super) padded_gradient: &'a mut [T],
    pub(super) offsets: &'a mut [u32],
    pub(super) values: &'a mut [T],
}

impl<T: Real> Kernel for Backward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        let sizes = self.sizes;
        for image in 0..sizes.conv.batch {
            for output in 0..sizes.conv.outputs {
                let count = self.list(image * sizes.conv.outputs + output);
                self.channel::<S>(image, output, count);
            }
        }
    }
}

impl<T: Real> Backward<'_, T> {
    /// Lists the spots of one channel of one image that have a gradient; returns how many.
    #[inline(always)]
    fn list(&mut self, plane: usize) -> usize {
        let width = self.sizes.conv.output_size()[1] as u32;
        let (inputs, row_step) = (
            self.sizes.conv.inputs as u32,
            self.sizes.padded_row() as u32,
        );
        let [rows, columns] = self.sizes.output_size();
        let mut count = 0;
        for row in 0..rows {
            let first = (plane * rows + row) * columns;
            let windows = first..first + columns;
            let spots = self.dy[windows.clone()].iter().zip(&self.places[windows]);
            for (column, (&dy, &place)) in spots.enumerate() {
                let (upper, left) = (2 * row as u32, 2 * column as u32);
                let index = place.wrapping_sub(upper * width + left);
                let down = u32::from(index >= width);
                let right = index.wrapping_sub(down * width);
                assert!(right <= 1, "a place lies outside its window");
                self.offsets[count] = (upper + down) * row_step + (left + right) * inputs;
                self.values[count] = dy;
                count += usize::from(dy != T::ZERO);
            }
        }
        count
    }

    /// Goes through the first `count` spots of one output channel.
    #[inline(always)]
    fn channel<S: Simd>(&mut self, image: usize, output: usize, count: usize) {
        let sizes = self.sizes;
        let spots = Spots {
            offsets: &self.offsets[..count],
            values: &self.values[..count],
        };
        let (first, weights) = (image * sizes.padded_image(), output * sizes.patch());
        let with_input = !self.padded_gradient.is_empty();
        let mut kernel_row = 0;
        while kernel_row < sizes.conv.kernel[0] {
            let from = first + kernel_row * sizes.padded_row();
            let weights = weights + kernel_row * sizes.run();
            // SAFETY: every place, checked as it was listed, sees a run that ends within its padded
            // image, in each of the kernel's rows; the weights of these rows are adjacent.
            unsafe {
                let x = self.padded.as_ptr().add(from);
                let gradient = &mut self.gradient[weights..];
                if with_input {
                    let gradient = &mut gradient[..sizes.run()];
                    let weights = &self.weights[weights..weights + sizes.run()];
                    let dx = self.padded_gradient.as_mut_ptr().add(from);
                    spots.both::<T::Vector<S>>(x, weights, gradient, dx);
                } else if sizes.run() <= T::Vector::<S>::LANES
                    && kernel_row + SHORT_ROWS <= sizes.conv.kernel[0]
                {
                    spots.short::<T::Vector<S>>(x, sizes.padded_row(), sizes.run(), gradient);
                    kernel_row += SHORT_ROWS - 1;
                } else {
                    spots.weights::<T::Vector<S>>(x, &mut gradient[..sizes.run()]);
                }
            }
            kernel_row += 1;
        }
    }
}

/// Rows of the kernel that are taken together where a row is at most one vector.
const SHORT_ROWS: usize = 5;

/// Places of one channel of one image that have a gradient.
#[derive(Clone, Copy)]
struct Spots<'a, T> {
    /// Where the kernel's upper left corner lies in the padded image.
    offsets: &'a [u32],
    values: &'a [T],
}

impl<T: Real> Spots<'_, T> {
    /// Adds `value · x` to the gradient of [`SHORT_ROWS`] runs of weights that follow each other.
    ///
    /// # Safety
    /// A run at every offset from `x` and from the `SHORT_ROWS − 1` points `step` further on is valid
    /// for reads; a run is at most one vector.
    #[inline(always)]
    unsafe fn short<V: Vector<Element = T>>(
        self,
        x: *const T,
        step: usize,
        run: usize,
        gradient: &mut [T],
    ) {
        let mut acc = [V::splat(T::ZERO); SHORT_ROWS];
        for (row, acc) in acc.iter_mut().enumerate() {
            *acc = V::read(&gradient[row * run..][..run]);
        }
        for (&offset, &value) in self.offsets.iter().zip(self.values) {
            let value = V::splat(value);
            for (row, acc) in acc.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                let x = unsafe { V::load_part(x.add(offset as usize + row * step), run) };
                *acc = value.mul_add(x, *acc);
            }
        }
        for (row, acc) in acc.iter().enumerate() {
            acc.write(&mut gradient[row * run..][..run]);
        }
    }

    /// Adds `value · x` to the gradient of a run of weights.
    ///
    /// # Safety
    /// A run at every offset from `x` is valid for reads.
    #[inline(always)]
    unsafe fn weights<V: Vector<Element = T>>(self, x: *const T, gradient: &mut [T]) {
        let mut at = 0;
        while at < gradient.len() {
            // SAFETY: the caller's promise, and `at` stays within the run.
            unsafe {
                let rest = &mut gradient[at..];
                let x = x.add(at);
                at += match rest.len() / V::LANES {
                    0 => self.weights_part::<V>(x, rest),
                    1..5 => self.weights_of::<V, 1>(x, rest),
                    5..10 => self.weights_of::<V, 5>(x, rest),
                    _ => self.weights_of::<V, 10>(x, rest),
                };
            }
        }
    }

    #[inline(always)]
    unsafe fn weights_of<V: Vector<Element = T>, const N: usize>(
        self,
        x: *const T,
        gradient: &mut [T],
    ) -> usize {
        let mut acc = [V::splat(T::ZERO); N];
        for (v, acc) in acc.iter_mut().enumerate() {
            *acc = V::read(&gradient[v * V::LANES..]);
        }
        for (&offset, &value) in self.offsets.iter().zip(self.values) {
            let value = V::splat(value);
            for (v, acc) in acc.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                let x = unsafe { V::load(x.add(offset as usize + v * V::LANES)) };
                *acc = value.mul_add(x, *acc);
            }
        }
        for (v, acc) in acc.iter().enumerate() {
            acc.write(&mut gradient[v * V::LANES..]);
        }
        N * V::LANES
    }

    #[inline(always)]
    unsafe fn weights_part<V: Vector<Element = T>>(self, x: *const T, gradient: &mut [T]) -> usize {
        let mut acc = V::read(gradient);
        for (&offset, &value) in self.offsets.iter().zip(self.values) {
            // SAFETY: the caller's promise; the rest of a run is shorter than a vector.
            let x = unsafe { V::load_part(x.add(offset as usize), gradient.len()) };
            acc = V::splat(value).mul_add(x, acc);
        }
        acc.write(gradient);
        gradient.len()
    }

    /// As [`Spots::weights`], and adds `value · w` to the gradient of the padded image.
    ///
    /// # Safety
    /// A run at every offset from `x` and from `dx` is valid for reads, and from `dx` for writes; the
    /// weights are as long as their gradient.
    #[inline(always)]
    unsafe fn both<V: Vector<Element = T>>(
        self,
        x: *const T,
        weights: &[T],
        gradient: &mut [T],
        dx: *mut T,
    ) {
        let mut at = 0;
        while at < gradient.len() {
            // SAFETY: the caller's promise, and `at` stays within the run.
            unsafe {
                let (w, rest) = (&weights[at..], &mut gradient[at..]);
                let (x, dx) = (x.add(at), dx.add(at));
                at += match rest.len() / V::LANES {
                    0 => self.both_part::<V>(x, w, rest, dx),
                    1..5 => self.both_of::<V, 1>(x, w, rest, dx),
                    5..10 => self.both_of::<V, 5>(x, w, rest, dx),
                    _ => self.both_of::<V, 10>(x, w, rest, dx),
                };
            }
        }
    }

    #[inline(always)]
    unsafe fn both_of<V: Vector<Element = T>, const N: usize>(
        self,
        x: *const T,
        weights: &[T],
        gradient: &mut [T],
        dx: *mut T,
    ) -> usize {
        let mut acc = [V::splat(T::ZERO); N];
        let mut w = [V::splat(T::ZERO); N];
        for v in 0..N {
            acc[v] = V::read(&gradient[v * V::LANES..]);
            w[v] = V::read(&weights[v * V::LANES..]);
        }
        for (&offset, &value) in self.offsets.iter().zip(self.values) {
            let value = V::splat(value);
            for v in 0..N {
                // SAFETY: the caller's promise.
                unsafe {
                    let at = offset as usize + v * V::LANES;
                    acc[v] = value.mul_add(V::load(x.add(at)), acc[v]);
                    value.mul_add(w[v], V::load(dx.add(at))).store(dx.add(at));
                }
            }
        }
        for (v, acc) in acc.iter().enumerate() {
            acc.write(&mut gradient[v * V::LANES..]);
        }
        N * V::LANES
    }

    #[inline(always)]
    unsafe fn both_part<V: Vector<Element = T>>(
        self,
        x: *const T,
        weights: &[T],
        gradient: &mut [T],
        dx: *mut T,
    ) -> usize {
        let count = gradient.len();
        let (mut acc, w) = (V::read(gradient), V::read(weights));
        for (&offset, &value) in self.offsets.iter().zip(self.values) {
            let value = V::splat(value);
            // SAFETY: the caller's promise; the rest of a run is shorter than a vector.
            unsafe {
                let (x, dx) = (x.add(offset as usize), dx.add(offset as usize));
                acc = value.mul_add(V::load_part(x, count), acc);
                value
                    .mul_add(w, V::load_part(dx, count))
                    .store_part(dx, count);
            }
        }
        acc.write(gradient);
        count
    }
}
