//! Max and average pooling of `[batch, channels, height, width]` images.

use crate::Real;

/// A window that slides over `planes` images of `height × width`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Batch × channels.
    pub planes: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Rows and columns of the window; at least 1.
    pub window: [usize; 2],
    /// Rows and columns from one window to the next; at least 1. Windows that overhang are dropped.
    pub stride: [usize; 2],
}

impl Pool {
    /// Rows and columns of a pooled image.
    pub fn output_size(self) -> [usize; 2] {
        let count = |size: usize, axis: usize| match size.checked_sub(self.window[axis]) {
            Some(rest) => rest / self.stride[axis] + 1,
            None => 0,
        };
        [count(self.height, 0), count(self.width, 1)]
    }

    /// Writes the largest value of each window and its place in the image (the first of equals).
    ///
    /// # Panics
    /// If a length does not fit the sizes.
    pub fn max_forward<T: Real>(self, x: &[T], y: &mut [T], places: &mut [u32]) {
        self.check(x.len(), y.len());
        assert_eq!(y.len(), places.len());
        self.each_window(|plane, output, corner| {
            let image = &x[plane * self.height * self.width..];
            let (mut best, mut place) = (image[corner], corner);
            for row in 0..self.window[0] {
                for at in (corner + row * self.width..).take(self.window[1]) {
                    // A NaN is carried on: a diverging client must show.
                    if image[at] > best || image[at].to_f64().is_nan() {
                        (best, place) = (image[at], at);
                    }
                }
            }
            (y[output], places[output]) = (best, place as u32);
        });
    }

    /// Writes `dx`: each gradient goes to the place of its window's largest value.
    ///
    /// # Panics
    /// If a length does not fit the sizes or a place lies outside its image.
    pub fn max_backward<T: Real>(self, dy: &[T], places: &[u32], dx: &mut [T]) {
        self.check(dx.len(), dy.len());
        assert_eq!(dy.len(), places.len());
        dx.fill(T::ZERO);
        let [rows, columns] = self.output_size();
        let (image, windows) = (self.height * self.width, rows * columns);
        if windows == 0 {
            return;
        }
        for plane in 0..self.planes {
            let dx = &mut dx[plane * image..][..image];
            let range = plane * windows..(plane + 1) * windows;
            for (&dy, &place) in dy[range.clone()].iter().zip(&places[range]) {
                dx[place as usize] += dy;
            }
        }
    }

    /// Writes the mean of each window.
    ///
    /// # Panics
    /// If a length does not fit the sizes.
    pub fn average_forward<T: Real>(self, x: &[T], y: &mut [T]) {
        self.check(x.len(), y.len());
        let share = T::ONE / T::from_usize(self.window[0] * self.window[1]);
        self.each_window(|plane, output, corner| {
            let image = &x[plane * self.height * self.width..];
            let mut sum = T::ZERO;
            for row in 0..self.window[0] {
                for &x in &image[corner + row * self.width..][..self.window[1]] {
                    sum += x;
                }
            }
            y[output] = sum * share;
        });
    }

    /// Writes `dx`: each gradient is spread evenly over its window.
    ///
    /// # Panics
    /// If a length does not fit the sizes.
    pub fn average_backward<T: Real>(self, dy: &[T], dx: &mut [T]) {
        self.check(dx.len(), dy.len());
        dx.fill(T::ZERO);
        let share = T::ONE / T::from_usize(self.window[0] * self.window[1]);
        self.each_window(|plane, output, corner| {
            let image = &mut dx[plane * self.height * self.width..];
            for row in 0..self.window[0] {
                for dx in &mut image[corner + row * self.width..][..self.window[1]] {
                    *dx += dy[output] * share;
                }
            }
        });
    }

    /// Calls `visit(plane, place of the window in the output, corner of the window in the plane)`.
    fn each_window(self, mut visit: impl FnMut(usize, usize, usize)) {
        let [rows, columns] = self.output_size();
        for plane in 0..self.planes {
            for row in 0..rows {
                for column in 0..columns {
                    let corner = row * self.stride[0] * self.width + column * self.stride[1];
                    visit(plane, (plane * rows + row) * columns + column, corner);
                }
            }
        }
    }

    fn check(self, input: usize, output: usize) {
        let [rows, columns] = self.output_size();
        assert_eq!(input, self.planes * self.height * self.width);
        assert_eq!(output, self.planes * rows * columns);
    }
}
