//! A model's values as the bytes of a blob, part by part.

use std::sync::Arc;

use bytes::Bytes;
use commonweal_core::Run;

/// Four little-endian bytes for each parameter, in the layout's order.
pub(super) struct ModelParts {
    run: Arc<Run>,
    next: usize,
}

impl ModelParts {
    /// Values in a part: a megabyte.
    const VALUES: usize = 1 << 18;

    pub(super) fn of(run: Arc<Run>) -> Self {
        Self { run, next: 0 }
    }
}

impl Iterator for ModelParts {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let values = self.run.model().values().get(self.next..)?;
        let part = &values[..values.len().min(Self::VALUES)];
        if part.is_empty() {
            return None;
        }
        self.next += part.len();
        let mut bytes = Vec::with_capacity(4 * part.len());
        for value in part {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        Some(bytes.into())
    }
}
