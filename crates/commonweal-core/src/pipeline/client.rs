//! The client's side of the pipeline: from an update to the bytes that leave the client.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use commonweal_kernels::fold::{Kind, Unquantizable, quantize};
use commonweal_privacy::{ClippingNorm, NonFinite, clip_l2};

use super::{ExtraSpec, Quantizer};
use crate::payload::UpdateWriter;
use crate::{ClientUpdate, Entropy, ModelVersion, Payload, Seed, Weight, WeightError};

/// The client's slots, in their order: clip → quantize → weight.
///
/// The weight travels beside the values, and the server multiplies by it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientPipeline {
    /// The largest L2 norm of an update; longer ones are scaled down.
    pub clip: Option<ClippingNorm>,
    /// The grid of the update's values.
    pub quantizer: Quantizer,
    /// Further vectors, with a grid each.
    pub extras: Arc<[ExtraSpec]>,
    /// The largest weight that this round can sum exactly.
    pub largest_weight: Weight,
}

/// Why an update may not leave the client. Names coordinates, never values.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProtectError {
    /// A value is NaN or infinite.
    #[error(
        "value {index} of the update is not a finite number: training diverged; try a smaller learning rate"
    )]
    NonFinite {
        /// Its index.
        index: usize,
    },
    /// A value is above the largest.
    #[error(
        "value {index} of the update is above {max_abs} in magnitude: try a smaller learning rate, scale the \
         data, or set training.max_abs_update higher"
    )]
    TooLarge {
        /// Its index.
        index: usize,
        /// The largest magnitude.
        max_abs: f64,
    },
    /// The weight is above the largest.
    #[error(transparent)]
    Weight(#[from] WeightError),
    /// The extra vectors are not those that the plan declares.
    #[error("the plan declares the extra vector {name:?} of {len} values, which the update lacks")]
    MissingExtra {
        /// Its name.
        name: String,
        /// Its length.
        len: usize,
    },
    /// More extra vectors than the plan declares.
    #[error("the update has {found} extra vectors, the plan declares {expected}")]
    Extras {
        /// Declared.
        expected: usize,
        /// Found.
        found: usize,
    },
}

impl ClientPipeline {
    /// Only the grid: no clip, no extras, any weight.
    pub fn plain(quantizer: Quantizer) -> Self {
        Self {
            clip: None,
            quantizer,
            extras: Arc::new([]),
            largest_weight: Weight::MAX,
        }
    }

    /// Passes `update`, made from the model `base`, through the slots and writes it as bytes.
    ///
    /// `seed` is for stochastic rounding and `entropy` for noise and masks; the slots that exist draw from
    /// neither. Costs one pass, two more to clip, and one allocation.
    ///
    /// # Errors
    /// The update is refused whole: see [`ProtectError`].
    pub fn on_client(
        &self,
        update: ClientUpdate,
        base: ModelVersion,
        seed: &Seed,
        entropy: Entropy,
    ) -> Result<Payload, ProtectError> {
        self.on_client_in(Vec::new(), update, base, seed, entropy)
    }

    /// The same, written into the memory of a payload that is no longer needed.
    ///
    /// # Errors
    /// As [`on_client`](Self::on_client).
    pub fn on_client_in(
        &self,
        memory: Vec<u8>,
        mut update: ClientUpdate,
        base: ModelVersion,
        _seed: &Seed,
        _entropy: Entropy,
    ) -> Result<Payload, ProtectError> {
        self.admit(&update)?;
        if let Some(bound) = self.clip {
            clip_l2(&mut update.values, bound)?;
        }
        let own = update.values.len();
        let len = own + self.extras.iter().map(|extra| extra.len).sum::<usize>();
        let mut writer =
            UpdateWriter::new(memory, base, update.weight, update.metrics.values(), len);
        let (values, mut rest) = writer.values_mut().split_at_mut(4 * own);
        put(&update.values, self.quantizer, values, 0)?;
        let mut first = own;
        for (spec, extra) in self.extras.iter().zip(&update.extras) {
            let (values, after) = rest.split_at_mut(4 * spec.len);
            put(&extra.values, spec.quantizer, values, first)?;
            (rest, first) = (after, first + spec.len);
        }
        Ok(writer.finish())
    }

    fn admit(&self, update: &ClientUpdate) -> Result<(), ProtectError> {
        if update.weight > self.largest_weight {
            let (largest, found) = (self.largest_weight.value(), update.weight.value().into());
            return Err(WeightError::TooLarge { largest, found }.into());
        }
        let (expected, found) = (self.extras.len(), update.extras.len());
        if expected < found {
            return Err(ProtectError::Extras { expected, found });
        }
        for (at, ExtraSpec { name, len, .. }) in self.extras.iter().enumerate() {
            let extra = update.extras.get(at);
            if !extra.is_some_and(|extra| extra.name == *name && extra.values.len() == *len) {
                return Err(ProtectError::MissingExtra {
                    name: name.clone(),
                    len: *len,
                });
            }
        }
        Ok(())
    }
}

/// Quantizes `values` into `out`; `first` is the index of the first, for errors.
fn put(
    values: &[f32],
    quantizer: Quantizer,
    out: &mut [u8],
    first: usize,
) -> Result<(), ProtectError> {
    quantize(values, quantizer.exponent(), quantizer.limit(), out).map_err(
        |Unquantizable { index, kind }| match kind {
            Kind::NotANumber | Kind::Infinite => ProtectError::NonFinite {
                index: first + index,
            },
            Kind::TooLarge => ProtectError::TooLarge {
                index: first + index,
                max_abs: quantizer.max_abs(),
            },
        },
    )
}

impl From<NonFinite> for ProtectError {
    fn from(error: NonFinite) -> Self {
        Self::NonFinite { index: error.index }
    }
}
