//! The clock of a server's process: it never jumps, whatever is done to the machine's.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 as they were when the process began, and the time that has passed since.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    origin_ms: u64,
}

impl Clock {
    /// Begins now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
            origin_ms: unix_ms(),
        }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.origin_ms + self.passed_ms()
    }

    /// Microseconds since the process began.
    #[must_use]
    pub fn passed_us(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX / 2)
    }

    /// Milliseconds since the process began.
    #[must_use]
    pub fn passed_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }
}

/// What the machine's clock says: milliseconds since 1970, UTC. 0 if it is set before that.
#[must_use]
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
