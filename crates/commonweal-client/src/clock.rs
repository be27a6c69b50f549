//! The machine's clock, in the milliseconds that the wire speaks.

use jiff::Timestamp;

/// Milliseconds since 1970, UTC; 0 before.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// A time as people read it: `2026-01-02 03:04 UTC`.
pub(crate) fn readable(ms: u64) -> String {
    let time = i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(
        || "an unknown time".to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}
