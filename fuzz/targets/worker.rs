//! Any bytes read as what a worker process writes: messages and their bodies, or a refusal.

#![no_main]

use std::sync::LazyLock;

use commonweal_core::{ExportType, Layout, MetricKind, MetricSpec, Scope, TensorSpec};
use commonweal_worker::{Frame, Limits, Reply, ReplyHeader, body};

static LAYOUT: LazyLock<Layout> = LazyLock::new(|| {
    let spec = |name: &str, shape: &[usize], scope, export| TensorSpec {
        name: name.into(),
        shape: shape.into(),
        scope,
        export,
    };
    Layout::new(vec![
        spec("w", &[2], Scope::Shared, ExportType::F32),
        spec("own", &[], Scope::Local, ExportType::I64),
    ])
    .expect("a layout")
});

static METRICS: LazyLock<MetricSpec> = LazyLock::new(|| {
    MetricSpec::new(
        vec![MetricKind::Loss, MetricKind::Accuracy, MetricKind::RocAuc],
        2,
    )
    .expect("metrics")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((frame, length))) = Frame::parse(rest, Limits::body(1 << 20)) {
        rest = &rest[length..];
        let _ = body::update(&LAYOUT, &frame.body);
        let _ = body::metrics(&METRICS, &frame.body);
        if let Ok(ReplyHeader {
            reply: Reply::Initial { tensors, .. },
            ..
        }) = ReplyHeader::parse(&frame.header)
        {
            let _ = body::initial(tensors, &frame.body);
        }
    }
});
