//! Products against a plain sum in `f64`.

mod support;

use commonweal_kernels::product::{Form, Output, Packed, Shape, matmul};
use commonweal_kernels::{Real, Workspace};
use proptest::prelude::*;
use support::{assert_close, numbers, on_every_set};

/// What `matmul` must give, and the most that rounding may move it.
fn reference<T: Real>(form: Form, shape: Shape, a: &[T], b: &[T], c: &[T]) -> (Vec<f64>, f64) {
    let Shape {
        rows,
        columns,
        inner,
    } = shape;
    let mut sums: Vec<f64> = c.iter().map(|c| c.to_f64()).collect();
    for i in 0..rows {
        for j in 0..columns {
            for l in 0..inner {
                let a = if form == Form::Tn {
                    a[l * rows + i]
                } else {
                    a[i * inner + l]
                };
                let b = if form == Form::Nt {
                    b[j * inner + l]
                } else {
                    b[l * columns + j]
                };
                sums[i * columns + j] += a.to_f64() * b.to_f64();
            }
        }
    }
    (
        sums,
        (inner + 2) as f64 * inner.max(1) as f64 * T::EPSILON.to_f64() / 2.0,
    )
}

fn check<T: Real>(form: Form, output: Output, rows: usize, columns: usize, inner: usize) {
    let shape = Shape {
        rows,
        columns,
        inner,
    };
    let a: Vec<T> = numbers(rows * inner, 1);
    let b: Vec<T> = numbers(inner * columns, 2);
    let before: Vec<T> = numbers(rows * columns, 3);
    let zeros = vec![T::ZERO; rows * columns];
    let (sums, tolerance) = reference(
        form,
        shape,
        &a,
        &b,
        if output == Output::Add {
            &before
        } else {
            &zeros
        },
    );
    let mut c = before.clone();
    matmul(form, shape, &a, &b, output, &mut c, &mut Workspace::new());
    assert_close(
        &c,
        &sums,
        tolerance,
        &format!("{form:?} {output:?} {shape:?}"),
    );
}

const FORMS: [Form; 3] = [Form::Nn, Form::Nt, Form::Tn];

#[test]
fn a_product_is_the_sum_of_products_at_sizes_around_the_vectors() {
    on_every_set(|_| {
        for form in FORMS {
            for size in [0, 1, 7, 8, 15, 16, 17, 33] {
                check::<f32>(form, Output::Set, size, 17, 9);
                check::<f32>(form, Output::Set, 9, size, 17);
                check::<f64>(form, Output::Add, 17, 9, size);
            }
        }
    });
}

#[test]
fn a_product_is_the_sum_of_products_across_blocks() {
    on_every_set(|_| {
        for form in FORMS {
            check::<f32>(form, Output::Set, 50, 530, 270);
            check::<f32>(form, Output::Add, 10, 530, 1100);
            check::<f64>(form, Output::Set, 60, 33, 300);
        }
    });
}

#[test]
fn a_packed_factor_gives_the_same_product() {
    on_every_set(|_| {
        let mut packed = Packed::new();
        for (rows, columns, inner) in [(10, 64, 300), (3, 33, 17), (13, 1, 1), (1, 100, 256)] {
            let shape = Shape {
                rows,
                columns,
                inner,
            };
            let (a, b) = (numbers(rows * inner, 1), numbers(inner * columns, 2));
            let before: Vec<f32> = numbers(rows * columns, 3);

            packed.pack(inner, columns, &b);
            let mut c = before.clone();
            packed.multiply(rows, &a, Output::Add, &mut c);
            let (sums, tolerance) = reference(Form::Nn, shape, &a, &b, &before);
            assert_close(&c, &sums, tolerance, "packed");

            packed.pack_transposed(columns, inner, &b);
            packed.multiply(rows, &a, Output::Set, &mut c);
            let (sums, tolerance) = reference(Form::Nt, shape, &a, &b, &vec![0.0; rows * columns]);
            assert_close(&c, &sums, tolerance, "packed, transposed");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_product_of_any_size_is_the_sum_of_products(
        form in prop::sample::select(FORMS.to_vec()),
        output in prop::sample::select(vec![Output::Set, Output::Add]),
        rows in 0usize..60,
        columns in 0usize..70,
        inner in 0usize..40,
    ) {
        on_every_set(|_| {
            check::<f32>(form, output, rows, columns, inner);
            check::<f64>(form, output, rows, columns, inner);
        });
    }
}
