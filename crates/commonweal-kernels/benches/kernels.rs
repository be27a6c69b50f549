//! Times the kernels and prints each as a share of what the machine can do.
//!
//! Times are the least of many runs: what the kernel costs when nothing else disturbs it.
//! An argument chooses the lines whose name contains it.

use commonweal_kernels::conv::Conv;
use commonweal_kernels::conv_pool::ConvPool;
use commonweal_kernels::dense::{Dense, Descent};
use commonweal_kernels::lstm::Lstm;
use commonweal_kernels::pool::Pool;
use commonweal_kernels::product::{Form, Output, Packed, Shape, matmul};
use commonweal_kernels::{Activation, Workspace, fold, instruction_set, loss, norm};
use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() {
    let filter = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    println!("instruction set {}", instruction_set());
    let limits = Limits::measure();
    println!(
        "limits: {:.1} GFLOP/s (product of 1024³), {:.2} GB/s (in-place add)",
        limits.flops / 1e9,
        limits.bytes / 1e9
    );
    let bench = Bench { filter, limits };
    two_hidden_layers(&bench);
    softmax(&bench);
    products(&bench);
    gates(&bench);
    convolutions(&bench);
    aggregation(&bench);
}

/// What one core can do.
struct Limits {
    flops: f64,
    bytes: f64,
}

impl Limits {
    fn measure() -> Self {
        let n = 1024;
        let shape = Shape {
            rows: n,
            columns: n,
            inner: n,
        };
        let (a, b, mut c) = (
            vec![1.0f32; n * n],
            vec![0.5f32; n * n],
            vec![0.0f32; n * n],
        );
        let mut workspace = Workspace::new();
        let product = least(|| {
            matmul(Form::Nn, shape, &a, &b, Output::Set, &mut c, &mut workspace);
        });
        let length = 16 << 20;
        let (x, mut y) = (vec![1.0f32; length], vec![0.0f32; length]);
        let add = least(|| norm::axpy(1.0, &x, black_box(&mut y)));
        Self {
            flops: 2.0 * (n * n * n) as f64 / product.as_secs_f64(),
            bytes: 4.0 * length as f64 / add.as_secs_f64(),
        }
    }
}

struct Bench {
    filter: Option<String>,
    limits: Limits,
}

impl Bench {
    /// Prints the least time of `work` beside what the peak product rate would need.
    fn flops(&self, name: &str, flops: f64, work: impl FnMut()) {
        if self
            .filter
            .as_ref()
            .is_none_or(|filter| name.contains(filter.as_str()))
        {
            let seconds = least(work).as_secs_f64();
            let (rate, share) = (flops / seconds, flops / seconds / self.limits.flops);
            let us = seconds * 1e6;
            println!(
                "{name:44} {us:9.2} µs {:7.1} GFLOP/s {share:5.2} of peak",
                rate / 1e9
            );
        }
    }

    /// Prints the least time of `work` beside what the bandwidth would need.
    fn bytes(&self, name: &str, bytes: f64, work: impl FnMut()) {
        if self
            .filter
            .as_ref()
            .is_none_or(|filter| name.contains(filter.as_str()))
        {
            let seconds = least(work).as_secs_f64();
            let (rate, share) = (bytes / seconds, bytes / seconds / self.limits.bytes);
            let us = seconds * 1e6;
            println!(
                "{name:44} {us:9.2} µs {:7.2} GB/s    {share:5.2} of limit",
                rate / 1e9
            );
        }
    }
}

/// The least time of many runs, at most about a second in all.
fn least(mut work: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    let start = Instant::now();
    let mut runs = 0;
    while runs < 5 || (start.elapsed() < Duration::from_millis(800) && runs < 20_000) {
        let run = Instant::now();
        work();
        best = best.min(run.elapsed());
        runs += 1;
    }
    best
}

fn values(length: usize) -> Vec<f32> {
    (0..length)
        .map(|i| ((i * 7919) % 1009) as f32 / 1009.0 - 0.5)
        .collect()
}

const DESCENT: Descent<f32> = Descent {
    learning_rate: 1e-6,
    decay: 0.0,
};

/// One SGD step of the 2NN: 784-200-200-10 at batch 10.
fn two_hidden_layers(bench: &Bench) {
    let batch = 10;
    let layers = [(784, 200), (200, 200), (200, 10)].map(|(inputs, outputs)| Dense {
        batch,
        inputs,
        outputs,
    });
    let mut w = layers.map(|l| values(l.inputs * l.outputs));
    let mut b = layers.map(|l| values(l.outputs));
    let mut y = layers.map(|l| values(batch * l.outputs));
    let mut dy = layers.map(|l| values(batch * l.outputs));
    let x = values(batch * 784);
    let labels: Vec<u32> = (0..10).collect();
    let scales = [0.1; 10];
    let mut ws = Workspace::new();
    let weights = 784.0 * 200.0 + 200.0 * 200.0 + 2000.0;
    let flops = 20.0 * (2.0 * weights + 42_000.0);
    for (l, layer) in layers.iter().enumerate() {
        let input = values(batch * layer.inputs);
        let mut dx = input.clone();
        let flops = 20.0 * (layer.inputs * layer.outputs) as f64;
        let name = format!("dense {}→{} forward", layer.inputs, layer.outputs);
        bench.flops(&name, flops, || {
            layer.forward(&input, &w[l], &b[l], Activation::Relu, &mut y[l], &mut ws)
        });
        let dx = if l == 0 { None } else { Some(&mut dx) };
        let flops = if l == 0 { flops } else { 2.0 * flops };
        let name = format!("dense {}→{} descend", layer.inputs, layer.outputs);
        let mut dx = dx.map(|dx| dx.as_mut_slice());
        bench.flops(&name, flops, || {
            layer.descend(
                &input,
                &mut w[l],
                &mut b[l],
                &dy[l],
                DESCENT,
                dx.as_deref_mut(),
                &mut ws,
            )
        });
    }
    bench.flops("2NN step, batch 10", flops, || {
        let (first, rest) = y.split_at_mut(1);
        let (second, third) = rest.split_at_mut(1);
        layers[0].forward(&x, &w[0], &b[0], Activation::Relu, &mut first[0], &mut ws);
        layers[1].forward(
            &first[0],
            &w[1],
            &b[1],
            Activation::Relu,
            &mut second[0],
            &mut ws,
        );
        layers[2].forward(
            &second[0],
            &w[2],
            &b[2],
            Activation::Identity,
            &mut third[0],
            &mut ws,
        );
        loss::cross_entropy(&third[0], &labels, &scales, &mut dy[2]);
        let [dy0, dy1, dy2] = &mut dy;
        layers[2].descend(
            &second[0],
            &mut w[2],
            &mut b[2],
            dy2,
            DESCENT,
            Some(dy1),
            &mut ws,
        );
        Activation::Relu.backward(&second[0], dy1);
        layers[1].descend(
            &first[0],
            &mut w[1],
            &mut b[1],
            dy1,
            DESCENT,
            Some(dy0),
            &mut ws,
        );
        Activation::Relu.backward(&first[0], dy0);
        layers[0].descend(&x, &mut w[0], &mut b[0], dy0, DESCENT, None, &mut ws);
    });
    let layer = Dense {
        batch,
        inputs: 3136,
        outputs: 512,
    };
    let (input, mut w, mut b) = (values(batch * 3136), values(3136 * 512), values(512));
    let (mut y, dy, mut dx) = (values(batch * 512), values(batch * 512), input.clone());
    let flops = 20.0 * (3136 * 512) as f64;
    bench.flops("dense 3136→512 forward", flops, || {
        layer.forward(&input, &w, &b, Activation::Relu, &mut y, &mut ws)
    });
    bench.flops("dense 3136→512 descend", 2.0 * flops, || {
        layer.descend(&input, &mut w, &mut b, &dy, DESCENT, Some(&mut dx), &mut ws)
    });
}

/// One SGD step of the softmax regression: 784-10 at batch 6.
fn softmax(bench: &Bench) {
    let layer = Dense {
        batch: 6,
        inputs: 784,
        outputs: 10,
    };
    let (x, mut w, mut b) = (values(6 * 784), values(7840), values(10));
    let (mut y, mut dy) = (values(60), values(60));
    let mut ws = Workspace::new();
    bench.flops("softmax step, batch 6", 2.0 * 2.0 * 6.0 * 7840.0, || {
        layer.forward(&x, &w, &b, Activation::Identity, &mut y, &mut ws);
        loss::cross_entropy(&y, &[0, 1, 2, 3, 4, 5], &[1.0 / 6.0; 6], &mut dy);
        layer.descend(&x, &mut w, &mut b, &dy, DESCENT, None, &mut ws);
    });
}

/// The products of the LSTM: 2 × 256 over 80 characters at batch 10.
fn products(bench: &Bench) {
    let mut ws = Workspace::new();
    let sizes = [
        (Form::Nt, 800, 1024, 256),
        (Form::Nn, 800, 256, 1024),
        (Form::Tn, 1024, 256, 800),
        (Form::Nn, 64, 196, 800),
    ];
    for (form, rows, columns, inner) in sizes {
        let shape = Shape {
            rows,
            columns,
            inner,
        };
        let (a, b, mut c) = (
            values(rows * inner),
            values(inner * columns),
            values(rows * columns),
        );
        let name = format!("product {form:?} {rows}×{columns}×{inner}");
        bench.flops(&name, 2.0 * (rows * columns * inner) as f64, || {
            matmul(form, shape, &a, &b, Output::Set, &mut c, &mut ws);
        });
    }
    for (columns, inner) in [(1024, 256), (256, 1024)] {
        let mut packed = Packed::new();
        let b = values(inner * columns);
        let (a, mut c) = (values(10 * inner), values(10 * columns));
        let name = format!("packed product 10×{columns}×{inner}");
        packed.pack(inner, columns, &b);
        bench.flops(&name, 2.0 * (10 * columns * inner) as f64, || {
            packed.multiply(10, &a, Output::Add, &mut c);
        });
        let bytes = 4.0 * (columns * inner) as f64;
        bench.bytes(&format!("pack {inner}×{columns}"), bytes, || {
            packed.pack(inner, columns, &b)
        });
        bench.bytes(
            &format!("pack transposed {inner}×{columns}"),
            bytes,
            || {
                packed.pack_transposed(columns, inner, &b);
            },
        );
    }
}

/// The pointwise part of one LSTM step.
fn gates(bench: &Bench) {
    let sizes = Lstm {
        batch: 10,
        hidden: 256,
    };
    let (before, c_prev) = (values(4 * 2560), values(2560));
    let mut gates = before.clone();
    let (mut c, mut tanh_c, mut h) = (values(2560), values(2560), values(2560));
    bench.bytes("lstm gates forward 10×256", 4.0 * 8.0 * 2560.0, || {
        gates.copy_from_slice(&before);
        sizes.forward(&mut gates, &c_prev, &mut c, &mut tanh_c, &mut h);
    });
    let mut dc = values(2560);
    bench.bytes("lstm gates backward 10×256", 4.0 * 8.0 * 2560.0, || {
        gates.copy_from_slice(&before);
        sizes.backward(&mut gates, &c_prev, &tanh_c, &h, &mut dc);
    });
}

/// The convolutions of the FedAvg paper's CNN, each with its pool, at batch 10.
fn convolutions(bench: &Bench) {
    let first = Conv {
        batch: 10,
        inputs: 1,
        outputs: 32,
        height: 28,
        width: 28,
        kernel: [5, 5],
        stride: [1, 1],
        padding: [2, 2],
    };
    let second = Conv {
        inputs: 32,
        outputs: 64,
        height: 14,
        width: 14,
        ..first
    };
    for conv in [first, second] {
        let Conv {
            inputs,
            outputs,
            height,
            width,
            ..
        } = conv;
        let planes = 10 * outputs;
        let pool = Pool {
            planes,
            height,
            width,
            window: [2, 2],
            stride: [2, 2],
        };
        let Some(layer) = ConvPool::new(conv, pool) else {
            return;
        };
        let (x, w) = (
            values(10 * inputs * height * width),
            values(outputs * inputs * 25),
        );
        let b = values(outputs);
        let length = planes * height * width / 4;
        let (mut y, mut places, mut ws) = (values(length), vec![0; length], Workspace::new());
        let (mut dw, mut db, mut dx) = (w.clone(), b.clone(), x.clone());
        let mut full = values(planes * height * width);
        let flops = 2.0 * 25.0 * (inputs * planes * height * width) as f64;
        bench.flops(
            &format!("conv {inputs}→{outputs} forward, plain"),
            flops,
            || {
                conv.forward(&x, &w, &b, &mut full, &mut ws);
            },
        );
        bench.flops(
            &format!("conv {inputs}→{outputs} backward, plain"),
            2.0 * flops,
            || {
                let dx = Some(dx.as_mut_slice());
                conv.backward(&x, &w, &full, Output::Set, &mut dw, &mut db, dx, &mut ws);
            },
        );
        bench.flops(
            &format!("conv {inputs}→{outputs} forward, with its pool"),
            flops,
            || {
                layer.forward(&x, &w, &b, &mut y, &mut places, &mut ws);
            },
        );
        let dy: Vec<f32> = values(length).iter().map(|x| x.max(-0.3)).collect();
        let (share, mut dx) = if inputs == 1 {
            (1.0, None)
        } else {
            (2.0, Some(dx))
        };
        bench.flops(
            &format!("conv {inputs}→{outputs} backward, with its pool"),
            share * flops,
            || {
                let dx = dx.as_deref_mut();
                layer.backward(
                    &x,
                    &w,
                    &dy,
                    &places,
                    Output::Set,
                    &mut dw,
                    &mut db,
                    dx,
                    &mut ws,
                );
            },
        );
    }
}

/// Client updates to their mean: the CNN's 1,663,370 parameters.
fn aggregation(bench: &Bench) {
    let length = 1_663_370;
    let updates: Vec<Vec<f32>> = (0..20).map(|_| values(length)).collect();
    let mut q = vec![0; 4 * length];
    let mut acc = vec![0i64; length];
    let mut mean = vec![0.0f32; length];
    let bytes = 4.0 * length as f64;
    let limit = i32::MAX;
    bench.bytes("quantize", bytes, || {
        assert!(fold::quantize(&updates[0], 20, limit, &mut q).is_ok())
    });
    bench.bytes("fold", bytes, || fold::fold(&mut acc, black_box(&q), 600));
    bench.bytes("in range", bytes, || {
        assert!(fold::in_range(black_box(&q), limit))
    });
    bench.bytes("dequantize", bytes, || {
        fold::dequantize(&acc, 1e-9, &mut mean)
    });
    bench.bytes("updates to mean, 20 × 1,663,370", 20.0 * bytes, || {
        acc.fill(0);
        for update in &updates {
            assert!(fold::quantize_fold(&mut acc, update, 20, limit, 600).is_ok());
        }
        fold::dequantize(&acc, 1e-9, &mut mean);
    });
}
