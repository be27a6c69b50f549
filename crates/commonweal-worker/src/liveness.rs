//! Whether a worker still lives: judged by bytes on its pipe, never by how long training takes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When the last byte came, written by the thread that reads the pipe.
#[derive(Debug)]
pub(crate) struct Activity {
    start: Instant,
    last_ms: AtomicU64,
    in_frame: AtomicBool,
}

/// How a worker that still runs has failed to keep the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Hung {
    /// It promised heartbeats and sends none.
    #[error(
        "sent no sign of life for {silent_ms} ms, though it promised one every {heartbeat_ms} ms"
    )]
    Silent {
        /// Since the last byte.
        silent_ms: u64,
        /// What it promised.
        heartbeat_ms: u64,
    },
    /// It stopped in the middle of a frame.
    #[error("stopped in the middle of a frame, {silent_ms} ms ago")]
    HalfFrame {
        /// Since the last byte.
        silent_ms: u64,
    },
}

/// Heartbeats that may be missed: a worker on a busy machine must not die for it.
const HEARTBEATS: u64 = 30;

/// Silence within a frame that is accepted of a worker without heartbeats.
const HALF_FRAME_MS: u64 = 60_000;

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            last_ms: AtomicU64::new(0),
            in_frame: AtomicBool::new(false),
        }
    }

    /// Bytes came, and now a frame is or is not half read.
    pub(crate) fn saw_bytes(&self, in_frame: bool) {
        self.in_frame.store(in_frame, Ordering::Relaxed);
        self.touch();
    }

    /// Counts silence from now: nobody was reading before.
    pub(crate) fn touch(&self) {
        let now_ms = millis(self.start.elapsed());
        self.last_ms.store(now_ms, Ordering::Relaxed);
    }

    /// # Errors
    /// [`Hung`] under the promise of a sign of life every `heartbeat_ms`, or under none.
    pub(crate) fn check(&self, heartbeat_ms: Option<u64>) -> Result<(), Hung> {
        let last_ms = self.last_ms.load(Ordering::Relaxed);
        let silent_ms = millis(self.start.elapsed()).saturating_sub(last_ms);
        judge(
            silent_ms,
            self.in_frame.load(Ordering::Relaxed),
            heartbeat_ms,
        )
    }
}

/// How long a worker may need to heed a `cancel`.
pub(crate) fn patience(heartbeat_ms: Option<u64>) -> Duration {
    Duration::from_millis(heartbeat_ms.map_or(HALF_FRAME_MS, |promised| HEARTBEATS * promised))
}

fn judge(silent_ms: u64, in_frame: bool, heartbeat_ms: Option<u64>) -> Result<(), Hung> {
    match heartbeat_ms {
        Some(heartbeat_ms) if silent_ms > HEARTBEATS * heartbeat_ms => Err(match in_frame {
            true => Hung::HalfFrame { silent_ms },
            false => Hung::Silent {
                silent_ms,
                heartbeat_ms,
            },
        }),
        None if in_frame && silent_ms > HALF_FRAME_MS => Err(Hung::HalfFrame { silent_ms }),
        _ => Ok(()),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_without_heartbeats_may_be_silent_for_ever_between_frames() {
        assert_eq!(judge(u64::MAX, false, None), Ok(()));
        let half = Hung::HalfFrame { silent_ms: 60_001 };
        assert_eq!(judge(60_000, true, None), Ok(()));
        assert_eq!(judge(60_001, true, None), Err(half));
    }

    #[test]
    fn thirty_missed_heartbeats_are_forgiven_and_no_more() {
        assert_eq!(judge(30_000, false, Some(1000)), Ok(()));
        let silent = Hung::Silent {
            silent_ms: 30_001,
            heartbeat_ms: 1000,
        };
        assert_eq!(judge(30_001, false, Some(1000)), Err(silent));
        let half = Hung::HalfFrame { silent_ms: 30_001 };
        assert_eq!(judge(30_001, true, Some(1000)), Err(half));
    }
}
