//! Reproducible randomness: shuffles, initial values, stochastic rounding, public cohorts.
//!
//! Not for anything whose secrecy a guarantee rests on: that is [`Entropy`](crate::Entropy).

use core::fmt;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng as _;

use crate::{ClientName, DigestWriter};

/// What a derived seed is used for. Two purposes never share a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Purpose {
    /// Initial values of the model.
    Initial = 1,
    /// Which client holds which rows of a simulated federation.
    Partition = 2,
    /// Which rows are held out for testing.
    Split = 3,
    /// Which clients take part in a round.
    Cohort = 4,
    /// What a client trains with: its task carries the seed of this purpose.
    Train = 5,
    /// The order of a client's rows within an epoch.
    Shuffle = 6,
    /// Stochastic rounding on the client.
    Rounding = 7,
    /// Masks of dropout layers.
    Dropout = 8,
    /// How long a simulated client takes.
    Latency = 9,
    /// Which simulated clients vanish.
    Vanish = 10,
    /// Training of a baseline.
    Baseline = 11,
    /// Rows that a baseline sets aside for validation.
    Validation = 12,
    /// The root of a further repetition of the run.
    Repetition = 13,
    /// Synthetic data.
    Synthetic = 14,
    /// What a client evaluates with.
    Evaluate = 15,
    /// What a client prepares with.
    Prepare = 16,
}

/// The generator of a [`Seed`]: ChaCha with 8 rounds, the same stream on every machine.
pub type SeedRng = ChaCha8Rng;

/// A reproducible secret-free seed. All randomness of a run follows from one root by derivation.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Seed([u8; 32]);

impl From<u64> for Seed {
    /// The root seed of a job's `seed = …`.
    fn from(number: u64) -> Self {
        let mut writer = DigestWriter::new("commonweal/seed/root/1");
        writer.number(number);
        Self(*writer.finish().as_bytes())
    }
}

impl Seed {
    /// A seed that arrived in a plan.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, to put into a plan. Only derived seeds travel, never the root.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The seed for one purpose in one round, for one client or (`None`) for the whole federation.
    ///
    /// SHA-256 of this seed and the arguments, so neither the root nor a sibling follows from it.
    pub fn derive(&self, purpose: Purpose, round: u64, client: Option<&ClientName>) -> Self {
        let mut writer = DigestWriter::default();
        writer.bytes(b"cws1");
        writer.bytes(&self.0);
        writer.bytes(&(purpose as u16).to_le_bytes());
        writer.number(round);
        // A name is never empty: a length of 0 says that there is none.
        let name = client.map_or("", ClientName::as_str);
        writer.bytes(&[name.len() as u8]);
        writer.bytes(name.as_bytes());
        Self(*writer.finish().as_bytes())
    }

    /// The stream of this seed, from its beginning.
    pub fn rng(&self) -> SeedRng {
        SeedRng::from_seed(self.0)
    }
}

impl fmt::Debug for Seed {
    /// The first four bytes: enough to tell two seeds apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Seed({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

#[cfg(test)]
mod tests {
    use rand_core::Rng as _;

    use super::*;

    fn name(text: &str) -> ClientName {
        ClientName::try_from(text).unwrap()
    }

    #[test]
    fn every_argument_of_a_derivation_changes_the_seed() {
        let root = Seed::from(1);
        let (a, b) = (name("a"), name("b"));
        let seeds = [
            root.derive(Purpose::Shuffle, 0, None),
            root.derive(Purpose::Dropout, 0, None),
            root.derive(Purpose::Shuffle, 1, None),
            root.derive(Purpose::Shuffle, 0, Some(&a)),
            root.derive(Purpose::Shuffle, 0, Some(&b)),
            Seed::from(2).derive(Purpose::Shuffle, 0, None),
        ];
        for (i, seed) in seeds.iter().enumerate() {
            assert!(
                !seeds[..i].contains(seed),
                "seed {i} repeats an earlier one"
            );
        }
    }

    /// Computed independently with Python (`hashlib`, and ChaCha8 from RFC 8439 with 8 rounds).
    #[test]
    fn the_stream_of_a_derived_seed_is_pinned() {
        let seed = Seed::from(1).derive(Purpose::Shuffle, 3, Some(&name("client-017")));
        let mut rng = seed.rng();
        let drawn: [u64; 2] = [rng.next_u64(), rng.next_u64()];
        assert_eq!(drawn, [0x13b92588_c6982f5a, 0xbe5b8036_2c263bb2]);
    }
}
