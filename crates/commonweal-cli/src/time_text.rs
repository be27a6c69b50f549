//! Times as people read them.

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
    fn a_time_is_told_to_the_second_and_one_beyond_the_calendar_as_it_is() {
        assert_eq!(clock(1_700_000_000_999), "2023-11-14 22:13:20");
        assert_eq!(clock(u64::MAX), u64::MAX.to_string());
    }
}
