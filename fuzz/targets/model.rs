//! Any bytes read as a safetensors model: the tensors of the layout, or a refusal that names the tensor.

#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use commonweal_core::{ExportType, Layout, Scope, TensorSpec};
use commonweal_disk::model_file::parse_model;

static LAYOUT: LazyLock<Arc<Layout>> = LazyLock::new(|| {
    let spec = |name: &str, shape: &[usize], scope, export| TensorSpec {
        name: name.into(),
        shape: shape.into(),
        scope,
        export,
    };
    let tensors = vec![
        spec("0.weight", &[2, 3], Scope::Shared, ExportType::F32),
        spec("0.bias", &[2], Scope::Shared, ExportType::F32),
        spec("1.steps", &[], Scope::Local, ExportType::I64),
    ];
    Arc::new(Layout::new(tensors).expect("a layout"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = parse_model(Path::new("model.safetensors"), bytes, &LAYOUT) {
        assert_eq!(model.values().len(), 9);
    }
});
