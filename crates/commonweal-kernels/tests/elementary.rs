//! Activations, losses and the LSTM's gates against the standard library in `f64`.

mod support;

use commonweal_kernels::activation::{log_sum_exp_rows, softmax_rows};
use commonweal_kernels::loss::{
    binary_cross_entropy, cross_entropy, cross_entropy_loss, squared_error,
};
use commonweal_kernels::lstm::Lstm;
use commonweal_kernels::{Activation, Real};
use support::{LENGTHS, assert_close, numbers, on_every_set};

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The largest error of `activation` in units of the last place of the exact result.
fn worst_ulps<T: Real>(activation: Activation, exact: fn(f64) -> f64, from: f64, to: f64) -> f64 {
    let steps = 100_000;
    let x: Vec<T> = (0..=steps)
        .map(|i| T::from_f64(from + (to - from) * f64::from(i) / f64::from(steps)))
        .collect();
    let mut y = x.clone();
    activation.forward(&mut y);
    let ulps = x.iter().zip(&y).map(|(x, y)| {
        let exact = exact(x.to_f64());
        (y.to_f64() - exact).abs() / (exact.abs() * T::EPSILON.to_f64()).max(1e-300)
    });
    ulps.fold(0.0, f64::max)
}

#[test]
fn tanh_and_sigmoid_are_exact_to_the_last_places() {
    on_every_set(|set| {
        for (from, to) in [(-1e-3, 1e-3), (-1.0, 1.0), (-12.0, 12.0), (-60.0, 60.0)] {
            let tanh = worst_ulps::<f32>(Activation::Tanh, f64::tanh, from, to);
            let logistic = worst_ulps::<f32>(Activation::Sigmoid, sigmoid, from, to);
            assert!(
                tanh <= 2.5 && logistic <= 2.5,
                "{set} {from}: {tanh}, {logistic}"
            );
            let tanh = worst_ulps::<f64>(Activation::Tanh, f64::tanh, from, to);
            let logistic = worst_ulps::<f64>(Activation::Sigmoid, sigmoid, from, to);
            assert!(
                tanh <= 4.0 && logistic <= 4.0,
                "{set} {from}: {tanh}, {logistic}"
            );
        }
    });
}

#[test]
fn activations_saturate_and_keep_a_nan() {
    on_every_set(|_| {
        for activation in [Activation::Relu, Activation::Tanh, Activation::Sigmoid] {
            let mut x = [f32::NAN; 17];
            activation.forward(&mut x);
            assert!(x.iter().all(|x| x.is_nan()), "{activation:?}");
        }
        let mut x = [f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30];
        Activation::Tanh.forward(&mut x);
        assert_eq!(x, [1.0, -1.0, 1.0, -1.0]);
        let mut x = [f32::INFINITY, f32::NEG_INFINITY];
        Activation::Sigmoid.forward(&mut x);
        assert!(x[0] == 1.0 && x[1] < 1e-37);
    });
}

#[test]
fn gradients_of_activations_follow_from_their_outputs() {
    on_every_set(|_| {
        for length in LENGTHS {
            let y: Vec<f32> = numbers(length, 1);
            let dy: Vec<f32> = numbers(length, 2);
            let check = |activation: Activation, derivative: fn(f64) -> f64| {
                let mut found = dy.clone();
                activation.backward(&y, &mut found);
                let expected: Vec<f64> = y
                    .iter()
                    .zip(&dy)
                    .map(|(&y, &dy)| f64::from(dy) * derivative(f64::from(y)))
                    .collect();
                assert_close(&found, &expected, 1e-6, &format!("{activation:?}"));
            };
            check(Activation::Identity, |_| 1.0);
            check(Activation::Relu, |y| f64::from(y > 0.0));
            check(Activation::Tanh, |y| 1.0 - y * y);
            check(Activation::Sigmoid, |y| y * (1.0 - y));
        }
    });
}

#[test]
fn softmax_and_log_sum_exp_follow_their_definitions() {
    on_every_set(|_| {
        for columns in [1, 2, 10, 16, 33, 80] {
            let x: Vec<f64> = numbers::<f64>(3 * columns, 5)
                .iter()
                .map(|x| 300.0 * x)
                .collect();
            let (mut softmax, mut logs) = (x.clone(), vec![0.0; 3]);
            softmax_rows(&mut softmax, columns);
            log_sum_exp_rows(&x, columns, &mut logs);
            for (row, x) in x.chunks_exact(columns).enumerate() {
                let max = x.iter().copied().fold(f64::MIN, f64::max);
                let log = max + x.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
                let expected: Vec<f64> = x.iter().map(|x| (x - log).exp()).collect();
                assert_close(
                    &softmax[row * columns..][..columns],
                    &expected,
                    1e-13,
                    "softmax",
                );
                assert_close(&logs[row..=row], &[log], 1e-12, "log Σ exp");
            }
        }
    });
}

#[test]
fn losses_and_their_gradients_agree_with_finite_differences() {
    on_every_set(|_| {
        let (rows, columns) = (4, 11);
        let logits: Vec<f64> = numbers::<f64>(rows * columns, 1)
            .iter()
            .map(|x| 4.0 * x)
            .collect();
        let labels = [3, 0, 10, 7];
        let scales = [0.25, 1.0, 0.0, 2.0];
        let mut gradient = vec![0.0; logits.len()];
        let loss = cross_entropy(&logits, &labels, &scales, &mut gradient);
        assert!((loss - cross_entropy_loss(&logits, &labels, &scales)).abs() < 1e-12);
        let targets: Vec<f64> = numbers::<f64>(rows, 2).iter().map(|x| x.abs()).collect();
        let (mut binary, mut squared) = (vec![0.0; rows], vec![0.0; rows]);
        binary_cross_entropy(&logits[..rows], &targets, &scales, &mut binary);
        squared_error(&logits[..rows], &targets, &scales, &mut squared);
        let step = 1e-6;
        let slope = |i: usize, loss: &dyn Fn(&[f64]) -> f64| {
            let (mut above, mut below) = (logits.clone(), logits.clone());
            above[i] += step;
            below[i] -= step;
            (loss(&above) - loss(&below)) / (2.0 * step)
        };
        for (i, gradient) in gradient.iter().enumerate() {
            let found = slope(i, &|x| cross_entropy_loss(x, &labels, &scales));
            assert!((found - gradient).abs() < 1e-8, "cross-entropy {i}");
        }
        for i in 0..rows {
            let mut unused = vec![0.0; rows];
            let found = slope(i, &|x| {
                binary_cross_entropy(&x[..rows], &targets, &scales, &mut unused.clone())
            });
            assert!((found - binary[i]).abs() < 1e-8, "binary cross-entropy {i}");
            let found = slope(i, &|x| {
                squared_error(&x[..rows], &targets, &scales, &mut unused.clone())
            });
            assert!((found - squared[i]).abs() < 1e-7, "squared error {i}");
            unused.clear();
        }
    });
}

#[test]
fn a_loss_of_extreme_logits_is_finite() {
    on_every_set(|_| {
        let mut gradient = [0.0; 3];
        let loss = cross_entropy(&[1e4f32, -1e4, 0.0], &[1], &[1.0], &mut gradient);
        assert!((loss - 2e4).abs() < 1.0);
        assert_eq!(gradient[1], -1.0);
        assert_eq!(cross_entropy::<f32>(&[], &[], &[], &mut []), 0.0);
    });
}

#[test]
fn lstm_gates_follow_their_definition_and_their_gradient_finite_differences() {
    on_every_set(|_| {
        for hidden in [1, 3, 8, 17, 32] {
            let sizes = Lstm { batch: 2, hidden };
            let n = 2 * hidden;
            let before: Vec<f64> = numbers::<f64>(4 * n, 1).iter().map(|x| 3.0 * x).collect();
            let c_prev: Vec<f64> = numbers(n, 2);
            let (dh, dc_next) = (numbers::<f64>(n, 3), numbers::<f64>(n, 4));
            let run = |before: &[f64], c_prev: &[f64]| {
                let mut gates = before.to_vec();
                let (mut c, mut tanh_c, mut h) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
                sizes.forward(&mut gates, c_prev, &mut c, &mut tanh_c, &mut h);
                (gates, c, tanh_c, h)
            };
            let value = |before: &[f64], c_prev: &[f64]| {
                let (_, c, _, h) = run(before, c_prev);
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                dot(&h, &dh) + dot(&c, &dc_next)
            };
            let (mut gates, c, tanh_c, h) = run(&before, &c_prev);
            for r in 0..2 {
                for j in 0..hidden {
                    let z = |gate: usize| before[r * 4 * hidden + gate * hidden + j];
                    let at = r * hidden + j;
                    let expected = sigmoid(z(1)) * c_prev[at] + sigmoid(z(0)) * z(2).tanh();
                    assert!((c[at] - expected).abs() < 1e-13);
                    assert!((h[at] - sigmoid(z(3)) * expected.tanh()).abs() < 1e-13);
                }
            }
            let mut dc = dc_next.clone();
            sizes.backward(&mut gates, &c_prev, &tanh_c, &dh, &mut dc);
            let step = 1e-6;
            let moved = |values: &[f64], i: usize, by: f64| {
                let mut values = values.to_vec();
                values[i] += by;
                values
            };
            for (i, gate) in gates.iter().enumerate() {
                let rise = value(&moved(&before, i, step), &c_prev)
                    - value(&moved(&before, i, -step), &c_prev);
                assert!((rise / (2.0 * step) - gate).abs() < 1e-8, "gate {i}");
            }
            for (i, dc) in dc.iter().enumerate() {
                let rise = value(&before, &moved(&c_prev, i, step))
                    - value(&before, &moved(&c_prev, i, -step));
                assert!((rise / (2.0 * step) - dc).abs() < 1e-8, "cell {i}");
            }
        }
    });
}
