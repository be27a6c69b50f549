//! The way forward: windows of the pool × output channels as register tiles.

use super::{ConvPool, parts};
use crate::Real;
use crate::conv::Conv;
use crate::simd::{Kernel, Simd, Vector};
use crate::tile::runs;

/// Output channels of a panel of weights: two vectors of the widest set.
const PANEL: usize = 32;
/// A buffer that starts at a cache line is followed by one that does.
const LINE: usize = 16;

/// Lengths of the buffers.
pub(super) struct Lengths([usize; 4]);

impl Lengths {
    pub(super) fn of(sizes: ConvPool) -> Self {
        let channels = sizes.conv.outputs.next_multiple_of(PANEL);
        let pooled = sizes.conv.batch * sizes.windows() * channels;
        let padded = sizes.conv.batch * sizes.padded_image();
        Self([
            padded.next_multiple_of(LINE),
            channels * sizes.patch(),
            pooled,
            pooled,
        ])
    }

    pub(super) fn total(&self) -> usize {
        self.0.iter().sum()
    }

    pub(super) fn split<'a, T>(&self, scratch: &'a mut [T]) -> [&'a mut [T]; 4] {
        parts(scratch, self.0)
    }
}

impl ConvPool {
    /// Packs the weights: for each panel of output channels, row and column of the kernel and input
    /// channel, the weights of the panel's channels, zeros beyond the last.
    pub(super) fn pack<T: Real>(self, w: &[T], panels: &mut [T]) {
        let Conv {
            inputs,
            outputs,
            kernel,
            ..
        } = self.conv;
        let area = kernel[0] * kernel[1];
        panels.fill(T::ZERO);
        for (output, w) in w.chunks_exact(self.patch()).enumerate().take(outputs) {
            let panel = &mut panels[output / PANEL * PANEL * self.patch() + output % PANEL..];
            for (input, w) in w.chunks_exact(area).enumerate() {
                for (place, &w) in w.iter().enumerate() {
                    panel[(place * inputs + input) * PANEL] = w;
                }
            }
        }
    }

    /// Turns what the tiles found to channels-first, adds the bias and names the places.
    pub(super) fn finish<T: Real>(
        self,
        b: &[T],
        best: &[T],
        index: &[T],
        y: &mut [T],
        places: &mut [u32],
    ) {
        let outputs = self.conv.outputs;
        let channels = outputs.next_multiple_of(PANEL);
        let (windows, columns) = (self.windows(), self.output_size()[1]);
        let width = self.conv.output_size()[1];
        let offsets = [0, 1, width as u32, width as u32 + 1];
        // A cache line of channels at a time, so that each line is read once.
        for image in 0..self.conv.batch {
            for first in (0..outputs).step_by(LINE) {
                let count = LINE.min(outputs - first);
                for window in 0..windows {
                    let corner = 2 * (window / columns * width + window % columns) as u32;
                    let from = (image * windows + window) * channels + first;
                    let to = (image * outputs + first) * windows + window;
                    for i in 0..count {
                        let bias = b.get(first + i).copied().unwrap_or(T::ZERO);
                        y[to + i * windows] = best[from + i] + bias;
                        let offset = offsets[index[from + i].to_f32() as usize % 4];
                        places[to + i * windows] = corner + offset;
                    }
                }
            }
        }
    }
}

/// Writes the largest of each window and its index within it, channels-last in whole panels.
pub(super) struct Forward<'a, T> {
    pub(super) sizes: ConvPool,
    pub(super) padded: &'a [T],
    pub(super) panels: &'a [T],
    pub(super) best: &'a mut [T],
    pub(super) index: &'a mut [T],
}

impl<T: Real> Kernel for Forward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let sizes = self.sizes;
        let channels = sizes.conv.outputs.next_multiple_of(PANEL);
        let lanes = T::Vector::<S>::LANES;
        let [rows, columns] = sizes.output_size();
        for image in 0..sizes.conv.batch {
            for first in (0..channels).step_by(2 * lanes) {
                for row in 0..rows {
                    for (column, count) in runs(columns, (S::TILE_ROWS / 6).max(1)) {
                        let window = (image * rows + row) * columns + column;
                        let corner = image * sizes.padded_image()
                            + 2 * row * sizes.padded_row()
                            + 2 * column * sizes.conv.inputs;
                        let panel = first / PANEL * PANEL * sizes.patch() + first % PANEL;
                        let to = window * channels + first;
                        // SAFETY: the four places of `count` windows lie within the padded image, the
                        // two vectors of channels within their panel and, for each window, within
                        // the pooled images.
                        unsafe {
                            let tile = Windows {
                                sizes,
                                corner: self.padded.as_ptr().add(corner),
                                panel: self.panels.as_ptr().add(panel),
                                best: self.best.as_mut_ptr().add(to),
                                index: self.index.as_mut_ptr().add(to),
                                step: channels,
                            };
                            match count {
                                1 => tile.run::<T::Vector<S>, 1, 2>(),
                                _ => tile.run::<T::Vector<S>, 2, 4>(),
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A tile of windows side by side and two vectors of output channels.
struct Windows<T> {
    sizes: ConvPool,
    corner: *const T,
    panel: *const T,
    best: *mut T,
    index: *mut T,
    /// Values from one window to the next in the output.
    step: usize,
}

impl<T: Real> Windows<T> {
    /// Computes `W` windows, which are `P = 2 W` places in each of two rows.
    ///
    /// # Safety
    /// All that the kernel sees at these places is valid for reads; the panel is valid for reads of
    /// two vectors at each step, and both outputs for writes of two vectors for each window.
    #[inline(always)]
    unsafe fn run<V: Vector<Element = T>, const W: usize, const P: usize>(self) {
        let inputs = self.sizes.conv.inputs;
        let (mut upper, mut lower) = ([[V::splat(T::ZERO); 2]; P], [[V::splat(T::ZERO); 2]; P]);
        let mut panel = self.panel;
        for kernel_row in 0..self.sizes.conv.kernel[0] {
            let mut x = self
                .corner
                .wrapping_add(kernel_row * self.sizes.padded_row());
            for _ in 0..self.sizes.run() {
                // SAFETY: the caller's promise.
                unsafe {
                    let weights = [V::load(panel), V::load(panel.add(V::LANES))];
                    add_places(&mut upper, weights, x, inputs);
                    add_places(&mut lower, weights, x.add(self.sizes.padded_row()), inputs);
                }
                panel = panel.wrapping_add(PANEL);
                x = x.wrapping_add(1);
            }
        }
        for window in 0..W {
            for v in 0..2 {
                let mut best = upper[2 * window][v];
                let mut index = V::splat(T::ZERO);
                let rest = [
                    upper[2 * window + 1],
                    lower[2 * window],
                    lower[2 * window + 1],
                ];
                for (i, next) in (1..).zip(rest) {
                    let next = next[v];
                    index = next.select_greater(best, V::splat(T::from_usize(i)), index);
                    best = next.select_greater(best, next, best);
                }
                let to = window * self.step + v * V::LANES;
                // SAFETY: the caller's promise.
                unsafe {
                    best.store(self.best.add(to));
                    index.store(self.index.add(to));
                }
            }
        }
    }
}

/// Adds the product of the weights with one value of each of `P` places, which are `step` apart.
///
/// # Safety
/// These values are valid for reads.
#[inline(always)]
unsafe fn add_places<V: Vector, const P: usize>(
    acc: &mut [[V; 2]; P],
    weights: [V; 2],
    x: *const V::Element,
    step: usize,
) {
    for (place, acc) in acc.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        let x = V::splat(unsafe { *x.add(place * step) });
        acc[0] = x.mul_add(weights[0], acc[0]);
        acc[1] = x.mul_add(weights[1], acc[1]);
    }
}
