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
    fn run<S: Simd>(self) {
        let sizes = self.sizes;
        let windows = sizes.windows();
        if windows == 0 {
            return;
        }
        let [height, width] = sizes.conv.output_size();
        for (plane, (dy, places)) in self
            .dy
            .chunks_exact(windows)
            .zip(self.places.chunks_exact(windows))
            .enumerate()
        {
            let (image, output) = (plane / sizes.conv.outputs, plane % sizes.conv.outputs);
            let mut count = 0;
            for (&dy, &place) in dy.iter().zip(places) {
                assert!(
                    (place as usize) < height * width,
                    "a place lies outside its image"
                );
                let (row, column) = (place / width as u32, place % width as u32);
                self.offsets[count] =
                    row * sizes.padded_row() as u32 + column * sizes.conv.inputs as u32;
                self.values[count] = dy;
                count += usize::from(dy != T::ZERO);
            }
            let spots = Spots {
                offsets: &self.offsets[..count],
                values: &self.values[..count],
            };
            for kernel_row in 0..sizes.conv.kernel[0] {
                let from = image * sizes.padded_image() + kernel_row * sizes.padded_row();
                let weights = output * sizes.patch() + kernel_row * sizes.run();
                let gradient = &mut self.gradient[weights..weights + sizes.run()];
                let x = &self.padded[from..];
                // SAFETY: every place, checked above, sees a run that ends within its padded image.
                unsafe {
                    if self.padded_gradient.is_empty() {
                        spots.weights::<T::Vector<S>>(x, gradient);
                    } else {
                        let weights = &self.weights[weights..weights + sizes.run()];
                        let dx = &mut self.padded_gradient[from..];
                        spots.both::<T::Vector<S>>(x, weights, gradient, dx);
                    }
                }
            }
        }
    }
}

/// Places of one channel of one image that have a gradient.
#[derive(Clone, Copy)]
struct Spots<'a, T> {
    /// Where the kernel's upper left corner lies in the padded image.
    offsets: &'a [u32],
    values: &'a [T],
}

impl<T: Real> Spots<'_, T> {
    /// Adds `value · x` to the gradient of a run of weights.
    ///
    /// # Safety
    /// `x` holds a run at every offset.
    #[inline(always)]
    unsafe fn weights<V: Vector<Element = T>>(self, x: &[T], gradient: &mut [T]) {
        let mut at = 0;
        while at < gradient.len() {
            // SAFETY: the caller's promise, and `at` stays within the run.
            unsafe {
                let rest = &mut gradient[at..];
                let x = x.as_ptr().add(at);
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
    /// `x` and `dx` hold a run at every offset; the weights are as long as their gradient.
    #[inline(always)]
    unsafe fn both<V: Vector<Element = T>>(
        self,
        x: &[T],
        weights: &[T],
        gradient: &mut [T],
        dx: &mut [T],
    ) {
        let mut at = 0;
        while at < gradient.len() {
            // SAFETY: the caller's promise, and `at` stays within the run.
            unsafe {
                let (w, rest) = (&weights[at..], &mut gradient[at..]);
                let (x, dx) = (x.as_ptr().add(at), dx.as_mut_ptr().add(at));
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
