//! Time since the start of a run: an argument, never read from a clock.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since the start of the run: virtual in a simulation, real on a server.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Time {
    /// Milliseconds since the start of the run.
    pub ms: u64,
}

impl Time {
    /// The start of the run.
    pub const START: Self = Self { ms: 0 };

    /// The time `ms` milliseconds later; the end of time if that overflows.
    pub const fn after_ms(self, ms: u64) -> Self {
        Self {
            ms: self.ms.saturating_add(ms),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} s", self.ms / 1000, self.ms % 1000)
    }
}
