//! Initial values of one tensor.

use commonweal_core::{Digest, Purpose, Seed, normal, unit};

/// How the values of a tensor start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Initial {
    Constant(f32),
    /// Uniform within ± this.
    Uniform(f64),
    /// Standard normal.
    Normal,
}

impl Initial {
    /// PyTorch's default for weights and biases that see `inputs` values.
    pub(crate) fn torch(inputs: usize) -> Self {
        Self::Uniform(1.0 / (inputs as f64).sqrt())
    }

    /// He et al. 2015, equation 10, with a uniform distribution of that variance.
    pub(crate) fn he(inputs: usize) -> Self {
        Self::Uniform((6.0 / inputs as f64).sqrt())
    }

    /// Writes the values that belong to `name`.
    pub(crate) fn fill(self, seed: &Seed, name: &str, values: &mut [f32]) {
        let mut rng = tensor_seed(seed, name).rng();
        for value in values {
            *value = match self {
                Self::Constant(value) => value,
                Self::Uniform(bound) => ((2.0 * unit(&mut rng) - 1.0) * bound) as f32,
                Self::Normal => normal(&mut rng) as f32,
            };
        }
    }
}

/// A seed of the tensor's own: adding a layer leaves the values of the others as they were.
fn tensor_seed(seed: &Seed, name: &str) -> Seed {
    let seed = seed.derive(Purpose::Initial, 0, None);
    let named = [seed.as_bytes().as_slice(), name.as_bytes()].concat();
    Seed::from_bytes(*Digest::of(&named).as_bytes())
}
