//! The dense layer against its definition in `f64`.

mod support;

use commonweal_kernels::dense::{Dense, Descent};
use commonweal_kernels::product::Output;
use commonweal_kernels::{Activation, Real, Workspace};
use proptest::prelude::*;
use support::{assert_close, numbers, on_every_set};

/// A layer's tensors and what must come of them.
struct Case<T> {
    sizes: Dense,
    x: Vec<T>,
    w: Vec<T>,
    b: Vec<T>,
    dy: Vec<T>,
}

impl<T: Real> Case<T> {
    fn new(batch: usize, inputs: usize, outputs: usize) -> Self {
        Self {
            sizes: Dense {
                batch,
                inputs,
                outputs,
            },
            x: numbers(batch * inputs, 1),
            w: numbers(outputs * inputs, 2),
            b: numbers(outputs, 3),
            dy: numbers(batch * outputs, 4),
        }
    }

    /// Pre-activations.
    fn z(&self) -> Vec<f64> {
        let Dense {
            batch,
            inputs,
            outputs,
        } = self.sizes;
        let mut z = Vec::new();
        for s in 0..batch {
            for o in 0..outputs {
                let row = (0..inputs)
                    .map(|i| self.x[s * inputs + i].to_f64() * self.w[o * inputs + i].to_f64());
                z.push(row.sum::<f64>() + self.b[o].to_f64());
            }
        }
        z
    }

    fn gradients(&self) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let Dense {
            batch,
            inputs,
            outputs,
        } = self.sizes;
        let (mut dw, mut db) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
        let mut dx = vec![0.0; batch * inputs];
        for s in 0..batch {
            for o in 0..outputs {
                let dy = self.dy[s * outputs + o].to_f64();
                db[o] += dy;
                for i in 0..inputs {
                    dw[o * inputs + i] += dy * self.x[s * inputs + i].to_f64();
                    dx[s * inputs + i] += dy * self.w[o * inputs + i].to_f64();
                }
            }
        }
        (dw, db, dx)
    }

    fn tolerance(&self) -> f64 {
        let Dense {
            batch,
            inputs,
            outputs,
        } = self.sizes;
        let most = (batch.max(inputs).max(outputs) + 3) as f64;
        most * most * T::EPSILON.to_f64()
    }
}

fn check<T: Real>(batch: usize, inputs: usize, outputs: usize) {
    let case = Case::<T>::new(batch, inputs, outputs);
    let (dw, db, dx) = case.gradients();
    let tolerance = case.tolerance();
    let workspace = &mut Workspace::new();

    let mut y = vec![T::ONE; batch * outputs];
    case.sizes.forward(
        &case.x,
        &case.w,
        &case.b,
        Activation::Relu,
        &mut y,
        workspace,
    );
    let expected: Vec<f64> = case.z().iter().map(|z| z.max(0.0)).collect();
    assert_close(&y, &expected, tolerance, "forward");

    let mut found = (case.w.clone(), case.b.clone(), case.x.clone());
    let (x, w, dy) = (&case.x, &case.w, &case.dy);
    let (fw, fb, fx) = (&mut found.0, &mut found.1, &mut found.2);
    case.sizes
        .backward(x, w, dy, Output::Set, fw, fb, Some(fx), workspace);
    assert_close(&found.0, &dw, tolerance, "dw");
    assert_close(&found.1, &db, tolerance, "db");
    assert_close(&found.2, &dx, tolerance, "dx");

    let descent = Descent {
        learning_rate: T::from_f64(0.5),
        decay: T::from_f64(0.25),
    };
    let stepped = |before: &[T], gradient: &[f64]| -> Vec<f64> {
        before
            .iter()
            .zip(gradient)
            .map(|(w, g)| w.to_f64() * 0.875 - 0.5 * g)
            .collect()
    };
    let (mut w, mut b, mut fx) = (case.w.clone(), case.b.clone(), case.x.clone());
    case.sizes
        .descend(x, &mut w, &mut b, dy, descent, Some(&mut fx), workspace);
    assert_close(&w, &stepped(&case.w, &dw), tolerance, "descended w");
    assert_close(&b, &stepped(&case.b, &db), tolerance, "descended b");
    assert_close(&fx, &dx, tolerance, "dx of the weights before the step");
}

#[test]
fn the_layers_of_the_2nn_follow_their_definition() {
    on_every_set(|_| {
        check::<f32>(10, 784, 200);
        check::<f32>(10, 200, 200);
        check::<f32>(10, 200, 10);
        check::<f32>(6, 784, 10);
    });
}

#[test]
fn adding_gradients_twice_doubles_them() {
    let case = Case::<f32>::new(4, 20, 7);
    let (dw, db, _) = case.gradients();
    let (mut fw, mut fb) = (vec![0.0; 140], vec![0.0; 7]);
    for _ in 0..2 {
        let (x, w, dy) = (&case.x, &case.w, &case.dy);
        case.sizes.backward(
            x,
            w,
            dy,
            Output::Add,
            &mut fw,
            &mut fb,
            None,
            &mut Workspace::new(),
        );
    }
    let twice = |values: &[f64]| values.iter().map(|x| 2.0 * x).collect::<Vec<_>>();
    assert_close(&fw, &twice(&dw), case.tolerance(), "dw");
    assert_close(&fb, &twice(&db), case.tolerance(), "db");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_layer_of_any_size_follows_its_definition(
        batch in 0usize..40, inputs in 0usize..70, outputs in 1usize..40,
    ) {
        on_every_set(|_| {
            check::<f32>(batch, inputs, outputs);
            check::<f64>(batch, inputs, outputs);
        });
    }
}
