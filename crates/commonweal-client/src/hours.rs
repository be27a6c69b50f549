//! The hours of the day in which a node works.

use std::fmt;
use std::fs;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;

/// From a time of day to another, over midnight if the second is the earlier one. In the machine's own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    from: u16,
    until: u16,
}

/// The text is no pair of times of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hours are two times of day, as 18:00-06:00")]
pub struct HoursError;

const DAY: u16 = 24 * 60;

impl Hours {
    /// Round the clock.
    pub const ALWAYS: Self = Self {
        from: 0,
        until: DAY,
    };

    /// How long it is until work may begin at `now`, on the clock of `zone`; zero within the hours.
    #[must_use]
    pub fn wait(&self, now: Timestamp, zone: &TimeZone) -> Duration {
        self.wait_at(zone.to_datetime(now))
    }

    fn wait_at(&self, now: DateTime) -> Duration {
        let second = since_midnight(now.time());
        let (from, until) = (u64::from(self.from) * 60, u64::from(self.until) * 60);
        let is_within = match from < until {
            true => (from..until).contains(&second),
            false => second >= from || second < until,
        };
        if is_within {
            return Duration::ZERO;
        }
        let day = u64::from(DAY) * 60;
        Duration::from_secs((from + day - second) % day)
    }
}

fn since_midnight(time: Time) -> u64 {
    let part = |value: i8| value.unsigned_abs().into();
    let (hour, minute, second): (u64, u64, u64) =
        (part(time.hour()), part(time.minute()), part(time.second()));
    (hour * 60 + minute) * 60 + second
}

/// The machine's time zone: what `TZ` names, or `/etc/localtime`; UTC where neither can be read.
pub(crate) fn local_zone() -> TimeZone {
    let named = std::env::var("TZ").ok().filter(|name| !name.is_empty());
    let path = match named.as_deref().map(|name| name.trim_start_matches(':')) {
        None => "/etc/localtime".to_owned(),
        Some(path) if path.starts_with('/') => path.to_owned(),
        Some(name) => format!("/usr/share/zoneinfo/{name}"),
    };
    let zone = fs::read(&path)
        .ok()
        .and_then(|bytes| TimeZone::tzif(&path, &bytes).ok());
    zone.unwrap_or(TimeZone::UTC)
}

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let (from, until) = text.split_once('-').ok_or(HoursError)?;
        let (from, until) = (minute_of_day(from)?, minute_of_day(until)?);
        match from == until || from == DAY {
            true => Err(HoursError),
            false => Ok(Self { from, until }),
        }
    }
}

fn minute_of_day(text: &str) -> Result<u16, HoursError> {
    let (hour, minute) = text.trim().split_once(':').ok_or(HoursError)?;
    let number = |text: &str, most: u16| -> Result<u16, HoursError> {
        let is_digits =
            (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let number: Option<u16> = text.parse().ok();
        number
            .filter(|&number| is_digits && number <= most)
            .ok_or(HoursError)
    };
    let minutes = number(hour, 24)? * 60 + number(minute, 59)?;
    match minutes <= DAY {
        true => Ok(minutes),
        false => Err(HoursError),
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut time = |minutes: u16| write!(f, "{:02}:{:02}", minutes / 60, minutes % 60);
        time(self.from)?;
        f.write_str("-")?;
        let mut time = |minutes: u16| write!(f, "{:02}:{:02}", minutes / 60, minutes % 60);
        time(self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes_to_wait(hours: &str, hour: i8, minute: i8) -> u64 {
        let hours: Hours = hours.parse().unwrap();
        let now = DateTime::constant(2026, 1, 2, hour, minute, 0, 0);
        hours.wait_at(now).as_secs() / 60
    }

    #[test]
    fn hours_that_go_over_midnight_are_those_of_the_night() {
        assert_eq!(minutes_to_wait("18:00-06:00", 23, 0), 0);
        assert_eq!(minutes_to_wait("18:00-06:00", 5, 59), 0);
        assert_eq!(minutes_to_wait("18:00-06:00", 6, 0), 12 * 60);
        assert_eq!(minutes_to_wait("08:30-17:00", 8, 29), 1);
        assert_eq!(minutes_to_wait("08:30-17:00", 17, 0), 15 * 60 + 30);
        assert_eq!(minutes_to_wait("00:00-24:00", 23, 59), 0);
    }

    #[test]
    fn hours_survive_their_text_and_others_are_refused() {
        for text in ["18:00-06:00", "00:00-24:00", "08:05-17:30"] {
            assert_eq!(text.parse::<Hours>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "18:00",
            "18-6",
            "25:00-06:00",
            "08:60-09:00",
            "08:00-08:00",
            "+8:00-9:00",
            "24:30-1:00",
        ] {
            assert_eq!(text.parse::<Hours>(), Err(HoursError), "{text:?}");
        }
    }

    #[test]
    fn a_zone_moves_the_hours() {
        let hours: Hours = "08:00-09:00".parse().unwrap();
        let now = Timestamp::from_second(6 * 3600 + 1800).unwrap();
        assert_eq!(
            hours.wait(now, &TimeZone::fixed(jiff::tz::offset(2))),
            Duration::ZERO
        );
        assert_eq!(hours.wait(now, &TimeZone::UTC), Duration::from_secs(5400));
    }
}
