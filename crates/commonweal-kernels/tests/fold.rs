//! Quantize, fold, merge and dequantize against exact integers.

mod support;

use commonweal_kernels::fold::{
    Kind, Unquantizable, dequantize, fold, in_range, merge, quantize, quantize_fold,
};
use commonweal_kernels::norm;
use proptest::prelude::*;
use support::{LENGTHS, numbers, on_every_set};

fn integers(q: &[u8]) -> Vec<i32> {
    q.as_chunks::<4>()
        .0
        .iter()
        .map(|&q| i32::from_le_bytes(q))
        .collect()
}

#[test]
fn quantizing_rounds_ties_to_even_at_every_magnitude() {
    on_every_set(|_| {
        let values = [
            0.5,
            1.5,
            2.5,
            -0.5,
            -1.5,
            -2.5,
            0.499_999_97,
            8_388_607.5,
            -8_388_606.5,
            8_388_609.0,
            16_777_218.0,
            -2_147_483_520.0,
            2_147_483_520.0,
            0.0,
            -0.0,
            1e-30,
            3.0,
        ];
        let mut q = vec![0; 4 * values.len()];
        quantize(&values, 0, i32::MAX, &mut q).unwrap();
        let expected: Vec<i32> = values.iter().map(|x| x.round_ties_even() as i32).collect();
        assert_eq!(integers(&q), expected);
    });
}

#[test]
fn what_has_no_place_on_the_grid_is_named() {
    on_every_set(|_| {
        for length in [1, 40, 5000] {
            for index in [0, length / 2, length - 1] {
                for (value, limit, kind) in [
                    (f32::NAN, i32::MAX, Kind::NotANumber),
                    (f32::INFINITY, i32::MAX, Kind::Infinite),
                    (f32::NEG_INFINITY, i32::MAX, Kind::Infinite),
                    (1e38, i32::MAX, Kind::TooLarge),
                    (-2_147_483_648.0, i32::MAX, Kind::TooLarge),
                    (2.0, 7, Kind::TooLarge),
                    (16_777_216.0 / 4.0, 16_777_215, Kind::TooLarge),
                ] {
                    let mut values = vec![0.5; length];
                    values[index] = value;
                    let refused = Err(Unquantizable { index, kind });
                    let mut q = vec![0; 4 * length];
                    assert_eq!(quantize(&values, 2, limit, &mut q), refused);
                    let before: Vec<i64> = (0..length as i64).collect();
                    let mut acc = before.clone();
                    assert_eq!(quantize_fold(&mut acc, &values, 2, limit, 3), refused);
                    assert_eq!(acc, before, "a refused update leaves no trace");
                }
            }
        }
    });
}

#[test]
fn the_limit_itself_has_a_place() {
    on_every_set(|_| {
        for (value, limit) in [(7.0, 7), (-7.0, 7), (16_777_216.0, 16_777_217), (0.0, 0)] {
            assert_eq!(quantize(&[value], 0, limit, &mut [0; 4]), Ok(()));
        }
    });
}

#[test]
fn folding_bytes_equals_integer_arithmetic_at_any_alignment() {
    on_every_set(|_| {
        for length in LENGTHS {
            for shift in 0..4 {
                let values: Vec<f32> = numbers(length, 7);
                let mut bytes = vec![0; 4 * length + shift];
                quantize(&values, 31, i32::MAX, &mut bytes[shift..]).unwrap();
                let mut acc: Vec<i64> = (0..length as i64).map(|i| i << 40).collect();
                let expected: Vec<i64> = acc
                    .iter()
                    .zip(integers(&bytes[shift..]))
                    .map(|(acc, q)| acc + 1_048_575 * i64::from(q))
                    .collect();
                let mut fused = acc.clone();
                fold(&mut acc, &bytes[shift..], 1_048_575);
                assert_eq!(acc, expected);
                quantize_fold(&mut fused, &values, 31, i32::MAX, 1_048_575).unwrap();
                assert_eq!(fused, expected);
            }
        }
    });
}

#[test]
fn the_range_is_checked_on_both_sides() {
    on_every_set(|_| {
        for length in LENGTHS.into_iter().filter(|&length| length > 0) {
            for at in [0, length - 1] {
                for (value, within) in [(10, true), (-10, true), (11, false), (-11, false)] {
                    let mut values = vec![0i32; length];
                    values[at] = value;
                    let q: Vec<u8> = values.iter().flat_map(|q| q.to_le_bytes()).collect();
                    assert_eq!(in_range(&q, 10), within);
                }
            }
        }
        assert!(!in_range(&i32::MIN.to_le_bytes(), i32::MAX));
        assert!(in_range(&[], 0));
    });
}

#[test]
fn dequantizing_rounds_once() {
    on_every_set(|_| {
        for length in LENGTHS {
            let acc: Vec<i64> = (0..length as i64)
                .map(|i| (i - 9) * 1_234_567_890_123)
                .collect();
            let mut out = vec![0.0; length];
            dequantize(&acc, 1e-12, &mut out);
            let expected: Vec<f32> = acc.iter().map(|&acc| (acc as f64 * 1e-12) as f32).collect();
            assert_eq!(out, expected);
        }
    });
}

proptest! {
    #[test]
    fn any_order_and_any_grouping_give_the_same_sum(
        updates in prop::collection::vec((prop::collection::vec(-1f32..1.0, 37), 1u32..1 << 20), 2..8),
        cut in 0usize..8,
    ) {
        on_every_set(|_| {
            let sum = |updates: &mut dyn Iterator<Item = &(Vec<f32>, u32)>| {
                let mut acc = vec![0; 37];
                for (values, weight) in updates {
                    quantize_fold(&mut acc, values, 24, i32::MAX, *weight).unwrap();
                }
                acc
            };
            let all = sum(&mut updates.iter());
            let (left, right) = updates.split_at(cut.min(updates.len()));
            let mut merged = sum(&mut right.iter().rev());
            merge(&mut merged, &sum(&mut left.iter()));
            assert_eq!(all, merged);
        });
    }

    #[test]
    fn vector_arithmetic_follows_its_definition(x in prop::collection::vec(-9f32..9.0, 0..130)) {
        let reversed: Vec<f32> = x.iter().rev().copied().collect();
        let exact: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let mut sums = Vec::new();
        on_every_set(|_| {
            let mut out = vec![0.0; x.len()];
            norm::subtract(&x, &reversed, &mut out);
            norm::axpy(0.5, &reversed, &mut out);
            norm::scale(&mut out, 3.0);
            for ((out, x), r) in out.iter().zip(&x).zip(&reversed) {
                assert_eq!(*out, ((x - r) + 0.5 * r) * 3.0);
            }
            assert!((norm::sum_of_squares(&x) - exact).abs() <= 1e-12 * exact);
            assert!(norm::all_finite(&x));
        });
        for set in commonweal_kernels::InstructionSet::ALL {
            if set.is_available() {
                sums.push(set.run(|| norm::sum_of_squares(&x)));
            }
        }
        prop_assert!(sums.windows(2).all(|pair| pair[0] == pair[1]));
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = x.clone();
            x.push(bad);
            prop_assert!(!norm::all_finite(&x));
        }
    }
}
