//! Metric values against their definitions, written the naive way.

use std::vec;
use std::vec::Vec;

use alloc::sync::Arc;
use proptest::prelude::*;

use super::*;
use crate::{ClientIndex, Fold, ModelVersion, Payload};

/// (label, predicted, score)
type Example = (u32, u32, f64);

fn spec(kinds: &[MetricKind], classes: u32) -> MetricSpec {
    MetricSpec::new(kinds.to_vec(), classes).unwrap()
}

fn sums(spec: &MetricSpec, examples: &[Example]) -> MetricSums {
    let mut sums = spec.zero();
    for &(label, predicted, score) in examples {
        let outcome = Outcome::Class {
            label,
            predicted,
            score,
        };
        let loss = f64::from(label);
        sums.observe(spec, Prediction { loss, outcome }).unwrap();
    }
    sums
}

fn naive_f1(examples: &[Example], classes: u32) -> f64 {
    let scores: Vec<f64> = (0..classes)
        .filter_map(|class| {
            let count =
                |test: &dyn Fn(&&Example) -> bool| examples.iter().filter(test).count() as f64;
            let hits = count(&|e| e.0 == class && e.1 == class);
            let (labelled, predicted) = (count(&|e| e.0 == class), count(&|e| e.1 == class));
            (labelled + predicted > 0.0).then(|| 2.0 * hits / (labelled + predicted))
        })
        .collect();
    scores.iter().sum::<f64>() / scores.len() as f64
}

/// Over all pairs: the share in which the positive example scores higher, ties half.
fn naive_auc(examples: &[Example]) -> Option<f64> {
    let of = |class| examples.iter().filter(move |e| e.0 == class).map(|e| e.2);
    let pairs: Vec<f64> = of(1)
        .flat_map(|p| {
            of(0).map(move |n| {
                if p > n {
                    1.0
                } else if p == n {
                    0.5
                } else {
                    0.0
                }
            })
        })
        .collect();
    (!pairs.is_empty()).then(|| pairs.iter().sum::<f64>() / pairs.len() as f64)
}

fn examples(classes: u32) -> impl Strategy<Value = Vec<Example>> {
    proptest::collection::vec((0..classes, 0..classes, 0.0..=1.0), 1..60)
}

proptest! {
    #[test]
    fn accuracy_and_f1_are_as_defined(examples in examples(4)) {
        let spec = spec(&[MetricKind::Accuracy, MetricKind::MacroF1, MetricKind::Loss], 4);
        let sums = sums(&spec, &examples);
        let n = examples.len() as f64;
        let correct = examples.iter().filter(|e| e.0 == e.1).count() as f64;
        let loss = examples.iter().map(|e| f64::from(e.0)).sum::<f64>();
        prop_assert_eq!(spec.value(MetricKind::Accuracy, &sums), Some(correct / n));
        prop_assert_eq!(spec.value(MetricKind::Loss, &sums), Some(loss / n));
        let f1 = spec.value(MetricKind::MacroF1, &sums).unwrap();
        prop_assert!((f1 - naive_f1(&examples, 4)).abs() < 1e-12);
    }

    /// Only pairs within one bin can be ordered wrongly, and such a pair counts half instead of 0 or 1.
    #[test]
    fn roc_auc_differs_from_all_pairs_by_half_of_those_in_one_bin_at_most(examples in examples(2)) {
        let spec = spec(&[MetricKind::RocAuc], 2);
        let sums = sums(&spec, &examples);
        let [negatives, positives] =
            [3, 3 + MetricSpec::SCORE_BINS].map(|at| &sums.values()[at..][..MetricSpec::SCORE_BINS]);
        let shared: i64 = negatives.iter().zip(positives).map(|(n, p)| n * p).sum();
        let pairs = negatives.iter().sum::<i64>() * positives.iter().sum::<i64>();
        match (spec.value(MetricKind::RocAuc, &sums), naive_auc(&examples)) {
            (Some(found), Some(exact)) => {
                let bound = shared as f64 / pairs as f64 / 2.0;
                prop_assert!((found - exact).abs() <= bound + 1e-12, "{found} {exact} {bound}");
            }
            (found, exact) => prop_assert_eq!(found, exact),
        }
    }

    #[test]
    fn merging_sums_equals_one_sum_for_every_cut(examples in examples(2), cut in 0_usize..60) {
        let spec = spec(&[MetricKind::Loss, MetricKind::Accuracy, MetricKind::MacroF1, MetricKind::RocAuc], 2);
        let cut = cut.min(examples.len());
        let mut merged = sums(&spec, &examples[cut..]);
        merged.merge(&sums(&spec, &examples[..cut])).unwrap();
        prop_assert_eq!(&merged, &sums(&spec, &examples));
        prop_assert_eq!(MetricSums::admit(&spec, merged.values().to_vec()), Ok(merged));
    }

    #[test]
    fn errors_of_numbers_are_as_defined(pairs in proptest::collection::vec((-1e5_f64..1e5, -1e5_f64..1e5), 1..40)) {
        let spec = spec(&[MetricKind::MeanSquaredError, MetricKind::MeanAbsoluteError], 0);
        let mut sums = spec.zero();
        for &(target, predicted) in &pairs {
            let outcome = Outcome::Value { target, predicted };
            sums.observe(&spec, Prediction { loss: -1.5, outcome }).unwrap();
        }
        let mean = |f: &dyn Fn(f64) -> f64| pairs.iter().map(|(t, p)| f(p - t)).sum::<f64>() / pairs.len() as f64;
        let squared = spec.value(MetricKind::MeanSquaredError, &sums).unwrap();
        let absolute = spec.value(MetricKind::MeanAbsoluteError, &sums).unwrap();
        // Each example is rounded to 2^-20; a square of 4e10 has its last bit at 2^-17.
        prop_assert!((squared - mean(&|e| e * e)).abs() < 1e-4);
        prop_assert!((absolute - mean(&f64::abs)).abs() < 1e-6);
    }
}

#[test]
fn the_sums_of_nobody_say_nothing() {
    let spec = spec(&[MetricKind::Loss, MetricKind::RocAuc], 2);
    assert_eq!(spec.value(MetricKind::Loss, &spec.zero()), None);
    let positives = sums(&spec, &[(1, 1, 0.5)]);
    assert_eq!(spec.value(MetricKind::RocAuc, &positives), None);
    assert_eq!(spec.value(MetricKind::Accuracy, &positives), None);
}

#[test]
fn perplexity_is_the_exponential_of_the_mean_loss() {
    let spec = spec(&[MetricKind::Perplexity], 9);
    let sums = sums(&spec, &[(0, 0, 0.0), (4, 0, 0.0)]);
    assert_eq!(
        spec.value(MetricKind::Perplexity, &sums),
        Some(libm::exp(2.0))
    );
}

#[test]
fn a_confident_model_is_told_from_a_perfect_one() {
    let spec = spec(&[MetricKind::RocAuc], 2);
    let scores = [(0, 0, 0.0), (0, 0, 0.999), (1, 1, 0.9999), (1, 1, 1.0)];
    assert_eq!(
        spec.value(MetricKind::RocAuc, &sums(&spec, &scores)),
        Some(1.0)
    );
}

#[test]
fn a_prediction_that_cannot_be_measured_counts_nothing() {
    let spec = spec(&[MetricKind::Accuracy, MetricKind::RocAuc], 2);
    let class = |label, score| Outcome::Class {
        label,
        predicted: 0,
        score,
    };
    let refused = [
        (f64::NAN, class(0, 0.5)),
        (1e13, class(0, 0.5)),
        (0.0, class(0, 1.1)),
        (0.0, class(0, f64::NAN)),
        (0.0, class(2, 0.5)),
        (
            0.0,
            Outcome::Value {
                target: 0.0,
                predicted: 0.0,
            },
        ),
    ];
    let mut sums = spec.zero();
    for (loss, outcome) in refused {
        assert!(sums.observe(&spec, Prediction { loss, outcome }).is_err());
        assert_eq!(sums, spec.zero());
    }
}

#[test]
fn sums_that_no_predictions_give_are_refused() {
    let spec = spec(&[MetricKind::Accuracy, MetricKind::MacroF1], 2);
    let honest = sums(&spec, &[(0, 0, 0.5), (1, 0, 0.5)]);
    for (at, value) in [
        (0, -1),
        (0, 1 << 32),
        (1, -1),
        (2, 1 << 40),
        (3, 3),
        (4, 2),
        (5, 0),
    ] {
        let mut lying = honest.values().to_vec();
        lying[at] = value;
        let refused = MetricSums::admit(&spec, lying);
        assert!(
            matches!(refused, Err(MetricError::Inconsistent { .. })),
            "{at}: {refused:?}"
        );
    }
    let error = MetricError::Length {
        expected: 10,
        found: 1,
    };
    assert_eq!(MetricSums::admit(&spec, vec![0]), Err(error));
}

#[test]
fn a_client_that_claims_more_than_its_share_of_examples_is_refused_and_leaves_room_for_the_others()
{
    let spec = Arc::new(MetricSpec::loss());
    let base = ModelVersion(3);
    for (clients, share) in [(1, 1 << 31), (3, 715_827_882), (4096, 1 << 20)] {
        let fold = Fold::evaluate(Arc::clone(&spec), base, clients);
        let report = |examples| {
            let claimed = MetricSums::admit(&spec, vec![examples, 0, 0]).unwrap();
            Payload::metrics(base, &claimed)
        };
        let mut sum = fold.zero();
        if clients > 1 {
            let most = share as u64;
            let refused = fold.accumulate(&mut sum, ClientIndex(0), report(share + 1));
            assert_eq!(refused, Err(MetricError::Share { most }.into()));
        }
        for client in 0..clients.min(2) {
            let taken = fold.accumulate(&mut sum, ClientIndex(client), report(share));
            assert_eq!(taken, Ok(()), "{clients} clients");
        }
    }
}

#[test]
fn a_metric_that_does_not_fit_the_target_is_refused() {
    let refused = |kinds: &[MetricKind], classes| MetricSpec::new(kinds.to_vec(), classes).is_err();
    assert!(refused(&[], 2));
    assert!(refused(&[MetricKind::Loss, MetricKind::Loss], 2));
    assert!(refused(&[MetricKind::Accuracy], 0));
    assert!(refused(&[MetricKind::RocAuc], 3));
    assert!(refused(&[MetricKind::MeanSquaredError], 2));
}

#[test]
fn batched_losses_are_as_those_of_single_examples_to_their_rounding() {
    let spec = MetricSpec::loss();
    let mut sums = spec.zero();
    sums.observe_losses(&spec, 4, 6.0).unwrap();
    sums.observe_losses(&spec, 0, 9.0).unwrap();
    assert_eq!(spec.value(MetricKind::Loss, &sums), Some(1.5));
    assert!(sums.observe_losses(&spec, 1, f64::INFINITY).is_err());
}
