//! Secret randomness for clients, selectors and sessions: a generator seeded by the operating system.

use chacha20::ChaCha20Rng;
use commonweal_core::Entropy;
use rand::TryRng as _;
use rand::rngs::SysRng;
use rand_core::Rng as _;

/// Hands out [`Entropy`]. One a thread: the operating system is asked once, not once a client.
pub struct EntropySource(ChaCha20Rng);

/// The operating system gives no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random bytes: {0}")]
pub struct NoEntropy(String);

impl EntropySource {
    /// Seeded with 256 bits from the operating system.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn from_system() -> Result<Self, NoEntropy> {
        let mut bytes = [0; 32];
        SysRng
            .try_fill_bytes(&mut bytes)
            .map_err(|error| NoEntropy(error.to_string()))?;
        Ok(Self(Entropy::new(bytes).into_rng()))
    }

    /// Fresh entropy for one use.
    #[must_use]
    pub fn draw(&mut self) -> Entropy {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        Entropy::new(bytes)
    }
}
