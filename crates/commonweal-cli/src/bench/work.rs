//! Floating-point operations of one training step: products only, a multiply-add counted as two.
//!
//! Forward, gradient of the weights, and gradient of the input except at the first layer. Biases,
//! activations and the step itself are left out, so the time at peak is a lower bound.

/// One layer's products for one example.
#[derive(Clone, Copy)]
struct Layer {
    multiply_adds: usize,
    passes_gradient: bool,
}

const fn first(multiply_adds: usize) -> Layer {
    Layer {
        multiply_adds,
        passes_gradient: false,
    }
}

const fn later(multiply_adds: usize) -> Layer {
    Layer {
        multiply_adds,
        passes_gradient: true,
    }
}

fn flops(batch: usize, layers: &[Layer]) -> f64 {
    let multiply_adds: usize = layers
        .iter()
        .map(|layer| layer.multiply_adds * if layer.passes_gradient { 3 } else { 2 })
        .sum();
    (2 * batch * multiply_adds) as f64
}

/// 2NN 784-200-200-10.
pub(super) fn two_nn(batch: usize) -> f64 {
    flops(
        batch,
        &[first(784 * 200), later(200 * 200), later(200 * 10)],
    )
}

/// Softmax regression 784-10.
pub(super) fn softmax(batch: usize) -> f64 {
    flops(batch, &[first(784 * 10)])
}

/// CNN of McMahan et al. 2017 on 28 × 28 pixels: 5×5×32, pool 2, 5×5×64, pool 2, 512, 10.
pub(super) fn cnn(batch: usize) -> f64 {
    let layers = [
        first(28 * 28 * 25 * 32),
        later(14 * 14 * 25 * 32 * 64),
        later(7 * 7 * 64 * 512),
        later(512 * 10),
    ];
    flops(batch, &layers)
}

/// Two LSTM layers of `hidden` units over `length` tokens embedded in `embedding` dimensions.
pub(super) fn lstm(
    batch: usize,
    length: usize,
    embedding: usize,
    hidden: usize,
    vocabulary: usize,
) -> f64 {
    let cell = |inputs: usize| length * 4 * hidden * (inputs + hidden);
    let layers = [
        later(cell(embedding)),
        later(cell(hidden)),
        later(length * hidden * vocabulary),
    ];
    flops(batch, &layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_needs_two_products_of_its_weights_an_example() {
        assert_eq!(softmax(1), 2.0 * 2.0 * 7840.0);
        assert_eq!(softmax(6), 6.0 * softmax(1));
    }
}
