//! Times as people read them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Such as `3 h ago`, or `now`; of a time that is yet to come, `now` too.
pub(crate) fn ago(at_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now.map_or(0, |now| now.as_millis() as u64);
    match now_ms.saturating_sub(at_ms) / 1000 {
        0..=2 => "now".to_owned(),
        seconds => format!("{} ago", span(seconds)),
    }
}

/// Such as `3 h`: in the largest unit of which there are a few.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Day and time, UTC: `2026-05-01 13:04:05`.
pub(crate) fn clock(at_ms: u64) -> String {
    let seconds = i64::try_from(at_ms / 1000).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        // Beyond the year 9999.
        Err(_) => at_ms.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_a_unit_of_which_there_are_a_few() {
        for (seconds, text) in [
            (1, "1 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7199, "119 min"),
            (7200, "2 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn a_time_is_told_to_the_second_and_one_beyond_the_calendar_as_it_is() {
        assert_eq!(clock(1_700_000_000_999), "2023-11-14 22:13:20");
        assert_eq!(clock(u64::MAX), u64::MAX.to_string());
    }
}
