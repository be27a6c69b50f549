//! Tensors that are not shared: kept from round to round in the client's state.

use std::ops::Range;

use commonweal_core::{ClientState, Layout, Scope, TrainError};

/// Version of the format: the values in layout order, little-endian `f32`.
const VERSION: u16 = 1;

/// The local tensors' place in the flat vector: they come last.
#[derive(Debug, Clone)]
pub(crate) struct LocalTensors(Range<usize>);

impl LocalTensors {
    pub(crate) fn of(layout: &Layout) -> Self {
        let local = layout
            .tensors()
            .iter()
            .filter(|tensor| tensor.scope == Scope::Local);
        let values: usize = local.map(|tensor| tensor.len()).sum();
        Self(layout.len() - values..layout.len())
    }

    /// Puts the client's own values into `values`; before its first round it has none.
    ///
    /// # Errors
    /// [`TrainError::State`] for another version, or another number of values.
    pub(crate) fn restore(
        &self,
        state: &ClientState,
        values: &mut [f32],
    ) -> Result<(), TrainError> {
        if state.bytes.is_empty() {
            return Ok(());
        }
        let own = &mut values[self.0.clone()];
        if state.version != VERSION || state.bytes.len() != 4 * own.len() {
            return Err(TrainError::State {
                expected: VERSION,
                found: state.version,
            });
        }
        for (value, bytes) in own.iter_mut().zip(state.bytes.as_chunks().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        Ok(())
    }

    pub(crate) fn save(&self, values: &[f32]) -> ClientState {
        let own = &values[self.0.clone()];
        let bytes = own.iter().flat_map(|value| value.to_le_bytes()).collect();
        ClientState {
            version: VERSION,
            bytes,
        }
    }
}
