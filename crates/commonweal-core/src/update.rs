//! What a client reports after training, how much it counts, and what the client keeps for itself.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::MetricSums;

/// How often a run's model was changed: 0 is the initial model. A client says which one it started from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct ModelVersion(pub u64);

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {}", self.0)
    }
}

/// How much one client's update counts: a whole number from 1 to 2^20 − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u32);

/// Why a number is no weight.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightError {
    /// A client that counts nothing has nothing to report.
    #[error("a client without training rows has no weight")]
    Zero,
    /// Above the largest weight.
    #[error(
        "weight {found} is above the largest possible, {largest}: weigh clients uniformly \
         (strategy.weighting = \"uniform\"), or make the cohort smaller"
    )]
    TooLarge {
        /// The largest weight accepted.
        largest: u32,
        /// The weight given.
        found: u64,
    },
}

impl Weight {
    /// The smallest weight.
    pub const ONE: Self = Self(1);
    /// The largest weight, 2^20 − 1.
    pub const MAX: Self = Self((1 << 20) - 1);

    /// The number.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The largest weight at which the weights of `clients` clients sum to less than 2^32, so that a sum of
    /// weight × `i32` over them is exact in `i64`.
    pub fn largest_for(clients: u32) -> Self {
        Self((u32::MAX / clients.max(1)).clamp(1, Self::MAX.0))
    }
}

impl TryFrom<u64> for Weight {
    type Error = WeightError;

    fn try_from(value: u64) -> Result<Self, WeightError> {
        match value {
            0 => Err(WeightError::Zero),
            _ if value > u64::from(Self::MAX.0) => Err(WeightError::TooLarge {
                largest: Self::MAX.0,
                found: value,
            }),
            _ => Ok(Self(value as u32)),
        }
    }
}

/// How clients are weighed against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// By their number of training rows, as in McMahan et al. 2017.
    Examples,
    /// All alike.
    Uniform,
}

impl Weighting {
    /// The weight of a client with `rows` training rows.
    ///
    /// # Errors
    /// No rows, or more than [`Weight::MAX`] when weighed by examples.
    pub fn of(self, rows: u64) -> Result<Weight, WeightError> {
        match self {
            Self::Examples => Weight::try_from(rows),
            Self::Uniform if rows == 0 => Err(WeightError::Zero),
            Self::Uniform => Ok(Weight::ONE),
        }
    }
}

/// What one client reports: `local − global`, one value per shared parameter, and how much it counts.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientUpdate {
    /// The difference for the shared prefix of the layout.
    pub values: Vec<f32>,
    /// How much it counts.
    pub weight: Weight,
    /// What was measured while training, under the plan's metric spec.
    pub metrics: MetricSums,
    /// Further vectors, in the order in which the plan declares them.
    pub extras: Vec<Extra>,
}

/// A further vector of an update, such as a control variate. Its length and range are declared by the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Extra {
    /// The name under which the plan declares it.
    pub name: String,
    /// The values, summed over clients as the update's are.
    pub values: Vec<f32>,
}

/// What a client keeps between its rounds: opaque to everyone but its trainer.
///
/// It never leaves the client, and it advances only if the update that came with it was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientState {
    /// The trainer's own version of the format of `bytes`.
    pub version: u16,
    /// The trainer's bytes; empty before the first round.
    pub bytes: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_between_1_and_2_to_the_20() {
        assert_eq!(Weight::try_from(0), Err(WeightError::Zero));
        assert_eq!(Weight::try_from(1_048_575), Ok(Weight::MAX));
        let above = WeightError::TooLarge {
            largest: 1_048_575,
            found: 1_048_576,
        };
        assert_eq!(Weight::try_from(1_048_576), Err(above));
    }

    #[test]
    fn a_cohort_of_largest_weights_sums_below_2_to_the_32() {
        for clients in [1_u32, 2, 4095, 4096, 4097, 1_000_000, u32::MAX] {
            let sum = u64::from(Weight::largest_for(clients).value()) * u64::from(clients);
            assert!(sum < 1 << 32, "{clients} clients");
        }
        assert_eq!(Weight::largest_for(4096), Weight::MAX);
    }
}
