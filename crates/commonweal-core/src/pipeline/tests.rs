//! Both sides of the pipeline together: exact sums, and what each side refuses.

use std::string::String;
use std::vec;
use std::vec::Vec;

use alloc::sync::Arc;
use commonweal_privacy::ClippingNorm;
use proptest::prelude::*;

use super::*;
use crate::{
    Accumulator, ClientIndex, ClientUpdate, CoordinateMedian, Entropy, Extra, Fold, Mean,
    MetricKind, MetricSpec, ModelVersion, Payload, Seed, Weight, WeightError,
};

const BASE: ModelVersion = ModelVersion(4);
const LEN: usize = 3;

fn update(values: &[f32], weight: u64) -> ClientUpdate {
    let spec = MetricSpec::loss();
    let mut metrics = spec.zero();
    metrics
        .observe_losses(&spec, weight as u32, weight as f64 / 2.0)
        .unwrap();
    let weight = Weight::try_from(weight).unwrap();
    ClientUpdate {
        values: values.to_vec(),
        weight,
        metrics,
        extras: Vec::new(),
    }
}

fn plain() -> ClientPipeline {
    ClientPipeline::plain(Quantizer::new(8.0).unwrap())
}

fn protect(pipeline: &ClientPipeline, update: ClientUpdate) -> Result<Payload, ProtectError> {
    pipeline.on_client(update, BASE, &Seed::from(1), Entropy::new([0; 32]))
}

fn server(client: &ClientPipeline, rule: Rule) -> Arc<ServerPipeline> {
    Arc::new(ServerPipeline {
        rule,
        quantizer: client.quantizer,
        extras: Arc::clone(&client.extras),
        shared_len: LEN,
        metrics: Arc::new(MetricSpec::loss()),
    })
}

fn mean() -> Rule {
    Rule::Sum(Arc::new(Mean))
}

fn fold(client: &ClientPipeline, rule: Rule) -> Fold {
    Fold::train(server(client, rule), BASE, client.largest_weight, 4)
}

fn accumulate(fold: &Fold, reports: &[(u32, Payload)]) -> Accumulator {
    let mut accumulator = fold.zero();
    for (client, payload) in reports {
        fold.accumulate(&mut accumulator, ClientIndex(*client), payload.clone())
            .unwrap();
    }
    accumulator
}

fn aggregate(client: &ClientPipeline, rule: Rule, updates: &[ClientUpdate]) -> Aggregate {
    let payloads = updates
        .iter()
        .map(|update| protect(client, update.clone()).unwrap());
    let reports: Vec<_> = (0..).zip(payloads).collect();
    let fold = fold(client, rule.clone());
    let accumulator = accumulate(&fold, &reports);
    server(client, rule)
        .on_server(accumulator, Entropy::new([0; 32]))
        .unwrap()
}

#[test]
fn a_mean_weighs_every_update() {
    let updates = [update(&[1.0, 0.0, -2.0], 1), update(&[5.0, 4.0, 2.0], 3)];
    let found = aggregate(&plain(), mean(), &updates);
    assert_eq!(found.mean, [4.0, 3.0, 1.0]); // (1 + 15) / 4, (0 + 12) / 4, (−2 + 6) / 4
    assert_eq!((found.clients, found.weight), (2, 4));
    assert_eq!(
        MetricSpec::loss().value(MetricKind::Loss, &found.metrics),
        Some(0.5)
    );
}

#[test]
fn a_median_ignores_weights_and_one_liar() {
    let values = [[1.0, 0.0, 8.0], [2.0, 0.5, -8.0], [3.0, 1.0, -8.0]];
    let updates: Vec<_> = (1..)
        .zip(values)
        .map(|(weight, values)| update(&values, weight))
        .collect();
    let found = aggregate(&plain(), Rule::Whole(Arc::new(CoordinateMedian)), &updates);
    assert_eq!(found.mean, [2.0, 0.5, -8.0]);
}

#[test]
fn extra_vectors_keep_their_own_grid() {
    let name = String::from("control");
    let extras = [ExtraSpec {
        name: name.clone(),
        len: 2,
        quantizer: Quantizer::new(1e6).unwrap(),
    }];
    let client = ClientPipeline {
        extras: Arc::new(extras),
        ..plain()
    };
    let with = |values: &[f32]| {
        let extras = vec![Extra {
            name: name.clone(),
            values: values.to_vec(),
        }];
        ClientUpdate {
            extras,
            ..update(&[1.0; LEN], 1)
        }
    };
    let found = aggregate(&client, mean(), &[with(&[1e6, 0.0]), with(&[0.0, -4.0])]);
    assert_eq!(found.mean, [1.0; LEN]);
    assert_eq!(found.extras, [(name.clone(), vec![5e5, -2.0])]);
    let missing = ProtectError::MissingExtra {
        name: name.clone(),
        len: 2,
    };
    assert_eq!(protect(&client, update(&[1.0; LEN], 1)), Err(missing));
    let undeclared = ProtectError::Extras {
        expected: 0,
        found: 1,
    };
    assert_eq!(protect(&plain(), with(&[0.0, 0.0])), Err(undeclared));
}

#[test]
fn a_long_update_is_clipped_before_it_is_put_on_the_grid() {
    let clip = Some(ClippingNorm::try_from(5.0).unwrap());
    let client = ClientPipeline { clip, ..plain() };
    let found = aggregate(&client, mean(), &[update(&[30.0, 0.0, 40.0], 1)]).mean;
    for (found, expected) in found.iter().zip([3.0, 0.0, 4.0]) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
}

#[test]
fn an_update_that_has_no_place_on_the_grid_does_not_leave_the_client() {
    for (value, expected) in [
        (f32::NAN, ProtectError::NonFinite { index: 1 }),
        (f32::NEG_INFINITY, ProtectError::NonFinite { index: 1 }),
        (
            8.5,
            ProtectError::TooLarge {
                index: 1,
                max_abs: 8.0,
            },
        ),
        (
            -1e30,
            ProtectError::TooLarge {
                index: 1,
                max_abs: 8.0,
            },
        ),
    ] {
        assert_eq!(
            protect(&plain(), update(&[0.0, value, 0.0], 1)),
            Err(expected)
        );
    }
    assert!(protect(&plain(), update(&[0.0, -8.0, 8.0], 1)).is_ok());
    let light = ClientPipeline {
        largest_weight: Weight::ONE,
        ..plain()
    };
    let heavy = protect(&light, update(&[0.0; LEN], 2));
    let error = WeightError::TooLarge {
        largest: 1,
        found: 2,
    };
    assert_eq!(heavy, Err(ProtectError::Weight(error)));
}

#[test]
fn a_server_folds_nothing_of_a_report_that_it_refuses() {
    let honest = protect(&plain(), update(&[1.0, 2.0, 3.0], 2)).unwrap();
    let changed = |at: usize, bytes: &[u8]| {
        let mut changed = honest.as_bytes().to_vec();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        Payload::from(changed)
    };
    let last = honest.as_bytes().len() - 4;
    let short = protect(&plain(), update(&[1.0], 1)).unwrap();
    let light = ClientPipeline {
        largest_weight: Weight::ONE,
        ..plain()
    };
    let evaluation = Payload::metrics(BASE, &MetricSpec::loss().zero());
    let fold = fold(&light, mean());
    for (payload, expected) in [
        (changed(last, &i32::MIN.to_le_bytes()), "above the largest"),
        (
            changed(last, &((1 << 30) + 1_i32).to_le_bytes()),
            "above the largest",
        ),
        (changed(4, &[5]), "version 5 of the model"),
        (changed(12, &[3]), "weight 3 is above"),
        (changed(24, &[0xff; 8]), "contradict each other"),
        (changed(0, b"X"), "does not begin"),
        (short, "1 values, the model 3"),
        (evaluation, "evaluate task"),
    ] {
        // All but the weight at stake is 1.
        let mut bytes = payload.into_bytes();
        if bytes[..4] == *b"CWu1" && bytes[12] == 2 {
            bytes[12] = 1;
        }
        let mut accumulator = fold.zero();
        let refusal = fold.accumulate(&mut accumulator, ClientIndex(0), Payload::from(bytes));
        let text = std::format!("{}", refusal.unwrap_err());
        assert!(text.contains(expected), "{text} does not say {expected:?}");
        assert_eq!(accumulator, fold.zero());
    }
}

#[test]
fn nobody_makes_no_mean() {
    let accumulator = fold(&plain(), mean()).zero();
    let found = server(&plain(), mean()).on_server(accumulator, Entropy::new([0; 32]));
    assert_eq!(found, Err(AggregateError::Nobody));
}

#[test]
fn the_largest_weights_and_values_of_a_large_cohort_do_not_overflow() {
    let clients = 5000;
    let largest_weight = Weight::largest_for(clients);
    let client = ClientPipeline {
        largest_weight,
        ..plain()
    };
    let weight = u64::from(largest_weight.value());
    let heavy = ClientUpdate {
        weight: Weight::try_from(weight).unwrap(),
        ..update(&[-8.0, 8.0, 0.0], 1)
    };
    let payload = protect(&client, heavy).unwrap();
    let reports: Vec<_> = (0..clients).map(|index| (index, payload.clone())).collect();
    let accumulator = accumulate(&fold(&client, mean()), &reports);
    let found = server(&client, mean())
        .on_server(accumulator, Entropy::new([0; 32]))
        .unwrap();
    assert_eq!(found.mean, [-8.0, 8.0, 0.0]);
}

/// The contract of every rule, called as a fold calls it.
fn bits_do_not_depend_on_order_or_cuts(
    rule: &Rule,
    updates: &[(f32, f32, u64)],
    order: &[usize],
    cut: usize,
) -> Result<(), TestCaseError> {
    let client = plain();
    let payload = |&(a, b, weight): &(f32, f32, u64)| {
        protect(&client, update(&[a, b, a - b], weight)).unwrap()
    };
    let reports: Vec<_> = (0..).zip(updates.iter().map(payload)).collect();
    let shuffled: Vec<_> = order.iter().map(|&at| reports[at].clone()).collect();
    let fold = fold(&client, rule.clone());
    let server = server(&client, rule.clone());
    let finish = |accumulator| {
        server
            .on_server(accumulator, Entropy::new([0; 32]))
            .unwrap()
    };
    let straight = finish(accumulate(&fold, &reports));
    let mut merged = accumulate(&fold, &shuffled[cut..]);
    fold.merge(&mut merged, accumulate(&fold, &shuffled[..cut]))
        .unwrap();
    let merged = finish(merged);
    let bits = |values: &[f32]| {
        values
            .iter()
            .map(|value| value.to_bits())
            .collect::<Vec<_>>()
    };
    prop_assert_eq!(bits(&straight.mean), bits(&merged.mean));
    prop_assert_eq!(straight, merged);
    Ok(())
}

proptest! {
    #[test]
    fn every_rule_gives_equal_bits_for_any_order_and_any_cut(
        updates in proptest::collection::vec((-4.0_f32..4.0, -4.0_f32..4.0, 1_u64..1000), 1..12),
        seed in any::<u64>(),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut order: Vec<usize> = (0..updates.len()).collect();
        crate::shuffle(&mut Seed::from(seed).rng(), &mut order);
        let cut = cut.index(updates.len() + 1);
        for rule in [mean(), Rule::Whole(Arc::new(CoordinateMedian))] {
            bits_do_not_depend_on_order_or_cuts(&rule, &updates, &order, cut)?;
        }
    }

    #[test]
    fn a_mean_is_the_real_mean_to_half_a_grid_step(
        updates in proptest::collection::vec((-8.0_f32..8.0, 1_u64..1_000_000), 1..20),
    ) {
        let cohort: Vec<_> =
            updates.iter().map(|&(value, weight)| update(&[value, 0.0, 0.0], weight)).collect();
        let found = f64::from(aggregate(&plain(), mean(), &cohort).mean[0]);
        let total: f64 = updates.iter().map(|&(_, weight)| weight as f64).sum();
        let exact = updates.iter().map(|&(value, weight)| f64::from(value) * weight as f64).sum::<f64>() / total;
        let rounding = exact.abs() * f64::from(f32::EPSILON);
        prop_assert!((found - exact).abs() <= plain().quantizer.step() / 2.0 + rounding);
    }
}
