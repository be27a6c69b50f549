//! What one core of this machine can do: the peak of a product and the bandwidth of an addition.

use std::hint::black_box;
use std::time::Duration;

use commonweal_train::fixture::Product;

use super::figure::Figure;
use super::stopwatch::fastest;

/// Rows, columns and inner length of the product.
const SIZE: usize = 1024;
/// Values of the addition: 256 MB, well beyond any cache.
const VALUES: usize = 1 << 26;
const BUDGET: Duration = Duration::from_millis(700);

/// The measured peaks of one core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    flops_per_second: f64,
    bytes_per_second: f64,
}

impl Machine {
    /// Measures for about two seconds.
    #[must_use]
    pub fn measure() -> Self {
        Self {
            flops_per_second: product(),
            bytes_per_second: addition(),
        }
    }

    /// Floating-point operations a second of a 1024³ `f32` product; a multiply-add counts two.
    #[must_use]
    pub fn flops_per_second(&self) -> f64 {
        self.flops_per_second
    }

    /// Bytes a second, read plus written, of an in-place `f32` addition beyond the caches.
    #[must_use]
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes_per_second
    }

    /// Both as figures, which are their own limits.
    #[must_use]
    pub fn figures(&self) -> [Figure; 2] {
        let own = |name, value, unit| Figure {
            name,
            value,
            unit,
            limit: Some(value),
            ratio: Some(1.0),
        };
        [
            own("peak-product", self.flops_per_second / 1e9, "GFLOP/s"),
            own("peak-add", self.bytes_per_second / 1e9, "GB/s"),
        ]
    }
}

fn product() -> f64 {
    let mut product = Product::new(SIZE);
    let seconds = fastest(BUDGET, || {
        black_box(product.multiply());
    });
    2.0 * (SIZE as f64).powi(3) / seconds
}

fn addition() -> f64 {
    let mut values = vec![1_f32; VALUES];
    let seconds = fastest(BUDGET, || {
        let one = black_box(1_f32);
        for value in &mut values {
            *value += one;
        }
        black_box(&values);
    });
    2.0 * size_of_val(values.as_slice()) as f64 / seconds
}
