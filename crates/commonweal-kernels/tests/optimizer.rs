//! Optimizer steps against their formulas in `f64`, and conversion of stored bytes.

mod support;

use commonweal_kernels::convert::gather_rows;
use commonweal_kernels::optimizer::{Adagrad, Adam, Sgd};
use support::{LENGTHS, assert_close, numbers, on_every_set};

/// Applies `formula(w, dw, state)` to every value.
fn stepped(
    w: &[f64],
    dw: &[f64],
    state: &mut [[f64; 2]],
    formula: impl Fn(f64, f64, &mut [f64; 2]) -> f64,
) -> Vec<f64> {
    let values = w.iter().zip(dw).zip(state);
    values
        .map(|((&w, &dw), state)| formula(w, dw, state))
        .collect()
}

#[test]
fn two_steps_of_each_optimizer_follow_the_formulas_of_pytorch() {
    on_every_set(|_| {
        for length in LENGTHS {
            let w: Vec<f64> = numbers(length, 1);
            let gradients = [numbers::<f64>(length, 2), numbers::<f64>(length, 3)];
            for nesterov in [false, true] {
                let (mut found, mut velocity) = (w.clone(), vec![0.0; length]);
                let (mut expected, mut state) = (w.clone(), vec![[0.0; 2]; length]);
                let sgd = Sgd {
                    learning_rate: 0.1,
                    momentum: 0.9,
                    nesterov,
                    decay: 0.01,
                };
                for dw in &gradients {
                    sgd.step(&mut found, dw, &mut velocity);
                    expected = stepped(&expected, dw, &mut state, |w, dw, state| {
                        let g = dw + 0.01 * w;
                        state[0] = 0.9 * state[0] + g;
                        w - 0.1
                            * if nesterov {
                                g + 0.9 * state[0]
                            } else {
                                state[0]
                            }
                    });
                }
                assert_close(&found, &expected, 1e-14, "sgd");
            }
            for decoupled in [false, true] {
                let mut found = w.clone();
                let (mut first, mut second) = (vec![0.0; length], vec![0.0; length]);
                let (mut expected, mut state) = (w.clone(), vec![[0.0; 2]; length]);
                let (beta1, beta2, epsilon, decay) = (0.9, 0.99, 1e-8, 0.1);
                let adam = Adam {
                    learning_rate: 0.1,
                    beta1,
                    beta2,
                    epsilon,
                    decay,
                    decoupled,
                };
                for (step, dw) in (1..).zip(&gradients) {
                    adam.step(step, &mut found, dw, &mut first, &mut second);
                    expected = stepped(&expected, dw, &mut state, |w, dw, [m, v]| {
                        let (w, g) = if decoupled {
                            (w * (1.0 - 0.01), dw)
                        } else {
                            (w, dw + decay * w)
                        };
                        *m = beta1 * *m + (1.0 - beta1) * g;
                        *v = beta2 * *v + (1.0 - beta2) * g * g;
                        let power = |beta: f64| 1.0 - beta.powi(step as i32);
                        w - 0.1 * (*m / power(beta1)) / ((*v / power(beta2)).sqrt() + epsilon)
                    });
                }
                assert_close(&found, &expected, 1e-13, "adam");
            }
            let (mut found, mut squares) = (w.clone(), vec![0.0; length]);
            let (mut expected, mut state) = (w.clone(), vec![[0.0; 2]; length]);
            for dw in &gradients {
                let adagrad = Adagrad {
                    learning_rate: 0.1,
                    epsilon: 1e-10,
                    decay: 0.1,
                };
                adagrad.step(&mut found, dw, &mut squares);
                expected = stepped(&expected, dw, &mut state, |w, dw, [sum, _]| {
                    let g = dw + 0.1 * w;
                    *sum += g * g;
                    w - 0.1 * g / (sum.sqrt() + 1e-10)
                });
            }
            assert_close(&found, &expected, 1e-13, "adagrad");
        }
    });
}

#[test]
fn sgd_without_velocity_is_sgd_without_momentum() {
    on_every_set(|_| {
        let (w, dw): (Vec<f32>, Vec<f32>) = (numbers(77, 1), numbers(77, 2));
        let sgd = Sgd {
            learning_rate: 0.1,
            momentum: 0.0,
            nesterov: false,
            decay: 0.01,
        };
        let (mut plain, mut full) = (w.clone(), w);
        sgd.plain_step(&mut plain, &dw);
        sgd.step(&mut full, &dw, &mut vec![0.0; 77]);
        assert_eq!(plain, full);
    });
}

#[test]
fn gathered_rows_are_scaled_and_in_the_order_asked() {
    on_every_set(|_| {
        let bytes: Vec<u8> = (0..=255).cycle().take(5 * 37).collect();
        let mut out = vec![0f32; 3 * 37];
        gather_rows(&bytes, 37, &[4, 0, 4], 2.0, -1.0, &mut out);
        for (i, row) in [4, 0, 4].into_iter().enumerate() {
            for column in 0..37 {
                let expected = 2.0 * f32::from(bytes[row * 37 + column]) - 1.0;
                assert_eq!(out[i * 37 + column], expected);
            }
        }
    });
}
