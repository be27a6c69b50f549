//! Convolution and pooling against their definitions in `f64`.

mod support;

use commonweal_kernels::conv::Conv;
use commonweal_kernels::conv_pool::ConvPool;
use commonweal_kernels::pool::Pool;
use commonweal_kernels::product::Output;
use commonweal_kernels::{Real, Workspace};
use proptest::prelude::*;
use support::{assert_close, numbers, on_every_set};

/// Calls `visit(y, x, w)` with the places of every product that the convolution sums.
fn each_product(sizes: Conv, mut visit: impl FnMut(usize, usize, usize)) {
    let Conv {
        batch,
        inputs,
        outputs,
        height,
        width,
        kernel,
        stride,
        padding,
    } = sizes;
    let [rows, columns] = sizes.output_size();
    for image in 0..batch {
        for output in 0..outputs {
            for (row, column) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
                for input in 0..inputs {
                    for (kr, kc) in (0..kernel[0]).flat_map(|r| (0..kernel[1]).map(move |c| (r, c)))
                    {
                        let r = (row * stride[0] + kr).wrapping_sub(padding[0]);
                        let c = (column * stride[1] + kc).wrapping_sub(padding[1]);
                        if r < height && c < width {
                            visit(
                                ((image * outputs + output) * rows + row) * columns + column,
                                ((image * inputs + input) * height + r) * width + c,
                                ((output * inputs + input) * kernel[0] + kr) * kernel[1] + kc,
                            );
                        }
                    }
                }
            }
        }
    }
}

fn lengths(sizes: Conv) -> (usize, usize, usize) {
    let [rows, columns] = sizes.output_size();
    (
        sizes.batch * sizes.inputs * sizes.height * sizes.width,
        sizes.outputs * sizes.inputs * sizes.kernel[0] * sizes.kernel[1],
        sizes.batch * sizes.outputs * rows * columns,
    )
}

fn reference<T: Real>(sizes: Conv, x: &[T], w: &[T], b: &[T]) -> Vec<f64> {
    let (_, _, length) = lengths(sizes);
    let plane = length / (sizes.batch * sizes.outputs).max(1);
    let mut y: Vec<f64> = (0..length)
        .map(|i| b[i / plane % sizes.outputs].to_f64())
        .collect();
    each_product(sizes, |at, from, weight| {
        y[at] += x[from].to_f64() * w[weight].to_f64()
    });
    y
}

/// Gradients of `w`, `b` and `x`.
fn gradients<T: Real>(sizes: Conv, x: &[T], w: &[T], dy: &[f64]) -> [Vec<f64>; 3] {
    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
    let mut db = vec![0.0; sizes.outputs];
    each_product(sizes, |at, from, weight| {
        dw[weight] += dy[at] * x[from].to_f64();
        dx[from] += dy[at] * w[weight].to_f64();
    });
    let plane = dy.len() / (sizes.batch * sizes.outputs).max(1);
    for (i, dy) in dy.iter().enumerate() {
        db[i / plane % sizes.outputs] += dy;
    }
    [dw, db, dx]
}

/// Multiples of 1/16: their convolutions are exact, so that ties are ties in both element types.
fn sixteenths<T: Real>(length: usize, seed: u64) -> Vec<T> {
    let rounded = |x: &f64| T::from_f64((x * 16.0).round() / 16.0);
    numbers::<f64>(length, seed).iter().map(rounded).collect()
}

fn check<T: Real>(sizes: Conv) {
    let (images, weights, length) = lengths(sizes);
    let [x, w, b] = [(images, 1), (weights, 2), (sizes.outputs, 3)]
        .map(|(length, seed)| sixteenths::<T>(length, seed));
    let most = length.max(weights).max(16) as f64;
    let tolerance = most * T::EPSILON.to_f64();
    let workspace = &mut Workspace::new();
    let mut y = vec![T::ONE; length];
    sizes.forward(&x, &w, &b, &mut y, workspace);
    assert_close(
        &y,
        &reference(sizes, &x, &w, &b),
        tolerance,
        &format!("{sizes:?}"),
    );

    let dy: Vec<T> = numbers(length, 4);
    let exact: Vec<f64> = dy.iter().map(|dy| dy.to_f64()).collect();
    let [dw, db, dx] = gradients(sizes, &x, &w, &exact);
    let (mut fw, mut fb, mut fx) = (w.clone(), b.clone(), x.clone());
    sizes.backward(
        &x,
        &w,
        &dy,
        Output::Set,
        &mut fw,
        &mut fb,
        Some(&mut fx),
        workspace,
    );
    assert_close(&fw, &dw, tolerance, &format!("dw {sizes:?}"));
    assert_close(&fb, &db, tolerance, &format!("db {sizes:?}"));
    assert_close(&fx, &dx, tolerance, &format!("dx {sizes:?}"));

    let planes = sizes.batch * sizes.outputs;
    let [height, width] = sizes.output_size();
    let pool = Pool {
        planes,
        height,
        width,
        window: [2, 2],
        stride: [2, 2],
    };
    if let Some(layer) = ConvPool::new(sizes, pool) {
        check_pooled(sizes, pool, layer, &x, &w, &b, tolerance);
    }
}

/// The fused layer against a convolution and a pool in sequence.
fn check_pooled<T: Real>(
    sizes: Conv,
    pool: Pool,
    layer: ConvPool,
    x: &[T],
    w: &[T],
    b: &[T],
    tolerance: f64,
) {
    let workspace = &mut Workspace::new();
    let [rows, columns] = layer.output_size();
    let length = pool.planes * rows * columns;
    let y = reference(sizes, x, w, b);
    let (mut pooled, mut places) = (vec![0.0; length], vec![0; length]);
    pool.max_forward(&y, &mut pooled, &mut places);
    let (mut found, mut found_places) = (vec![T::ZERO; length], vec![9; length]);
    layer.forward(x, w, b, &mut found, &mut found_places, workspace);
    assert_close(&found, &pooled, tolerance, &format!("pooled {sizes:?}"));
    assert_eq!(found_places, places, "{sizes:?}");

    let dy: Vec<T> = numbers::<T>(length, 5)
        .into_iter()
        .map(|dy| dy.max(T::ZERO))
        .collect();
    let exact: Vec<f64> = dy.iter().map(|dy| dy.to_f64()).collect();
    let mut spread = vec![0.0; y.len()];
    pool.max_backward(&exact, &places, &mut spread);
    let [dw, db, dx] = gradients(sizes, x, w, &spread);
    let (mut fw, mut fb, mut fx) = (w.to_vec(), b.to_vec(), x.to_vec());
    let (fx, set) = (Some(fx.as_mut_slice()), Output::Set);
    let expected_dx = fx.map(|fx| {
        layer.backward(
            x,
            w,
            &dy,
            &places,
            set,
            &mut fw,
            &mut fb,
            Some(fx),
            workspace,
        );
        assert_close(fx, &dx, tolerance, "dx");
    });
    assert!(expected_dx.is_some());
    assert_close(&fw, &dw, tolerance, "dw");
    assert_close(&fb, &db, tolerance, "db");
    layer.backward(
        x,
        w,
        &dy,
        &places,
        Output::Add,
        &mut fw,
        &mut fb,
        None,
        workspace,
    );
    let twice = |values: &[f64]| values.iter().map(|x| 2.0 * x).collect::<Vec<_>>();
    assert_close(&fw, &twice(&dw), 2.0 * tolerance, "dw, twice");
    assert_close(&fb, &twice(&db), 2.0 * tolerance, "db, twice");
}

#[test]
fn the_convolutions_of_the_fed_avg_cnn_follow_their_definition() {
    on_every_set(|_| {
        let first = Conv {
            batch: 2,
            inputs: 1,
            outputs: 32,
            height: 28,
            width: 28,
            kernel: [5, 5],
            stride: [1, 1],
            padding: [2, 2],
        };
        check::<f32>(first);
        let [height, width] = [14, 14];
        check::<f32>(Conv {
            inputs: 32,
            outputs: 64,
            height,
            width,
            ..first
        });
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_convolution_of_any_size_follows_its_definition(
        batch in 0usize..4,
        inputs in 1usize..20,
        outputs in 1usize..36,
        height in 1usize..10,
        width in 1usize..10,
        kernel in prop::array::uniform2(1usize..5),
        stride in prop::array::uniform2(1usize..3),
        padding in prop::array::uniform2(0usize..3),
    ) {
        on_every_set(|_| {
            let sizes = Conv { batch, inputs, outputs, height, width, kernel, stride, padding };
            check::<f32>(sizes);
            check::<f64>(sizes);
            check::<f64>(Conv { stride: [1, 1], ..sizes });
        });
    }

    #[test]
    fn an_average_pool_is_the_mean_of_its_window_and_spreads_its_gradient(
        planes in 0usize..4,
        height in 1usize..9,
        width in 1usize..9,
        window in prop::array::uniform2(1usize..4),
        stride in prop::array::uniform2(1usize..4),
    ) {
        let pool = Pool { planes, height, width, window, stride };
        let [rows, columns] = pool.output_size();
        let x: Vec<f64> = numbers(planes * height * width, 1);
        let dy: Vec<f64> = numbers(planes * rows * columns, 2);
        let (mut y, mut dx) = (dy.clone(), x.clone());
        pool.average_forward(&x, &mut y);
        pool.average_backward(&dy, &mut dx);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        // The gradient is the transpose of the mean.
        prop_assert!((dot(&y, &dy) - dot(&x, &dx)).abs() < 1e-12);
        if rows * columns * planes > 0 {
            let first = (0..window[0]).flat_map(|r| (0..window[1]).map(move |c| r * width + c));
            let mean = first.map(|at| x[at]).sum::<f64>() / (window[0] * window[1]) as f64;
            prop_assert!((y[0] - mean).abs() < 1e-12);
        }
    }
}

#[test]
fn a_max_pool_carries_a_nan_on() {
    let pool = Pool {
        planes: 1,
        height: 2,
        width: 2,
        window: [2, 2],
        stride: [2, 2],
    };
    let (mut y, mut places) = ([0.0], [0]);
    pool.max_forward(&[1.0, f32::NAN, 3.0, 2.0], &mut y, &mut places);
    assert!(y[0].is_nan());
}
