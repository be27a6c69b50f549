//! Any bytes read as a client's report, and folded into the sums of a small model: added, or refused whole.

#![no_main]

use std::sync::{Arc, LazyLock};

use commonweal_core::{
    ClientIndex, Fold, Mean, MetricSpec, ModelVersion, Payload, Quantizer, Rule, ServerPipeline,
    Weight,
};

static FOLD: LazyLock<Fold> = LazyLock::new(|| {
    let pipeline = ServerPipeline {
        rule: Rule::Sum(Arc::new(Mean)),
        quantizer: Quantizer::new(16.0).expect("a bound"),
        extras: Arc::new([]),
        shared_len: 3,
        metrics: Arc::new(MetricSpec::loss()),
    };
    Fold::train(Arc::new(pipeline), ModelVersion(1), Weight::MAX, 1)
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let payload = Payload::from(bytes.to_vec());
    let frame = FOLD.check(&payload);
    let report = FOLD.verify(ClientIndex(0), payload.clone());
    assert!(frame.is_ok() || report.is_err());
    let mut sums = FOLD.zero();
    let added = FOLD.accumulate(&mut sums, ClientIndex(0), payload);
    assert_eq!(added.is_ok(), sums.clients() == 1);
    assert_eq!(added.is_ok(), report.is_ok());
});
