//! Secret randomness, handed down by the rooms from the operating system.

use core::fmt;

use chacha20::ChaCha20Rng;
use rand_core::SeedableRng as _;
use zeroize::Zeroizing;

/// 32 secret random bytes for one use: noise, secret cohorts, Poisson batches, keys, shares.
///
/// Not clonable and consumed by use, so that no two uses share a stream; its memory is overwritten when
/// it is dropped. It has no source of its own: whoever holds a clock and files fills it from the
/// operating system, and a test injects it.
pub struct Entropy(Zeroizing<[u8; 32]>);

impl Entropy {
    /// `bytes` must come from the operating system's generator and be used nowhere else.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret stream: ChaCha20, which also overwrites itself when dropped.
    pub fn into_rng(self) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(*self.0)
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(secret)")
    }
}

#[cfg(test)]
mod tests {
    use rand_core::Rng as _;

    use super::*;

    #[test]
    fn debug_output_holds_nothing_of_the_secret() {
        assert_eq!(
            std::format!("{:?}", Entropy::new([7; 32])),
            "Entropy(secret)"
        );
    }

    #[test]
    fn equal_bytes_give_equal_streams() {
        let draw = |byte| Entropy::new([byte; 32]).into_rng().next_u64();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
