//! The day of the US stock market: which session an instant belongs to, and how busy it is.

use chrono::{DateTime, Datelike, Offset, Timelike, Utc};
use chrono_tz::America::New_York;

const HOUR_MS: i64 = 3_600_000;
const MINUTE_S: f64 = 60.0;
const PRE_OPEN_S: f64 = 4.0 * 60.0 * MINUTE_S;
const OPEN_S: f64 = 9.5 * 60.0 * MINUTE_S;
const CLOSE_S: f64 = 16.0 * 60.0 * MINUTE_S;
const POST_CLOSE_S: f64 = 20.0 * 60.0 * MINUTE_S;

/// Part of the day; weekends are closed, holidays are not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Closed,
    Extended,
    Regular,
}

/// What the clock of New York says, as far as a market cares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    pub phase: Phase,
    /// How busy stocks are; about 1 at noon, 4 at the opening, never 0.
    pub activity: f64,
}

/// Reads the clock; remembers the hour's offset, since time zones are slow to look up.
#[derive(Debug, Default)]
pub struct NewYorkClock {
    hour: Option<Hour>,
}

#[derive(Debug, Clone, Copy)]
struct Hour {
    start_ms: i64,
    /// Seconds since midnight in New York at the start of the hour.
    second_of_day: f64,
    is_weekday: bool,
}

impl NewYorkClock {
    /// `time_ms` since the UNIX epoch.
    pub fn moment(&mut self, time_ms: i64) -> Moment {
        let start_ms = time_ms.div_euclid(HOUR_MS) * HOUR_MS;
        let hour = match self.hour {
            Some(hour) if hour.start_ms == start_ms => hour,
            _ => Hour::at(start_ms),
        };
        self.hour = Some(hour);
        let second_of_day = hour.second_of_day + (time_ms - start_ms) as f64 / 1_000.0;
        moment(second_of_day, hour.is_weekday)
    }
}

impl Hour {
    fn at(start_ms: i64) -> Self {
        let utc = DateTime::<Utc>::from_timestamp_millis(start_ms).unwrap_or_default();
        let local = utc.with_timezone(&utc.with_timezone(&New_York).offset().fix());
        Self {
            start_ms,
            second_of_day: f64::from(local.num_seconds_from_midnight()),
            is_weekday: local.weekday().number_from_monday() <= 5,
        }
    }
}

fn moment(second_of_day: f64, is_weekday: bool) -> Moment {
    if !is_weekday || !(PRE_OPEN_S..POST_CLOSE_S).contains(&second_of_day) {
        return Moment { phase: Phase::Closed, activity: 0.15 };
    }
    if second_of_day < OPEN_S {
        let until_open = (OPEN_S - second_of_day) / (OPEN_S - PRE_OPEN_S);
        return Moment { phase: Phase::Extended, activity: 0.2 + 0.4 * (1.0 - until_open) };
    }
    if second_of_day >= CLOSE_S {
        let since_close = (second_of_day - CLOSE_S) / (POST_CLOSE_S - CLOSE_S);
        return Moment { phase: Phase::Extended, activity: 0.2 + 0.4 * (1.0 - since_close) };
    }
    let done = (second_of_day - OPEN_S) / (CLOSE_S - OPEN_S);
    let opening = 3.4 * (-done / 0.08).exp();
    let closing = 3.2 * ((done - 1.0) / 0.07).exp();
    Moment { phase: Phase::Regular, activity: 0.8 + opening + closing }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Moment {
        let time = DateTime::parse_from_rfc3339(text).expect("a time");
        NewYorkClock::default().moment(time.timestamp_millis())
    }

    #[test]
    fn sessions_follow_new_york_in_winter_and_summer() {
        for (text, phase) in [
            ("2024-01-09T14:29:59Z", Phase::Extended),
            ("2024-01-09T14:30:00Z", Phase::Regular),
            ("2024-07-09T13:30:00Z", Phase::Regular),
            ("2024-07-09T20:00:00Z", Phase::Extended),
            ("2024-07-10T00:00:00Z", Phase::Closed),
            ("2024-07-13T15:00:00Z", Phase::Closed),
        ] {
            assert_eq!(at(text).phase, phase, "{text}");
        }
    }

    #[test]
    fn the_day_is_busy_at_both_ends_and_never_dead() {
        let (open, noon) = (at("2024-07-09T13:30:00Z"), at("2024-07-09T16:45:00Z"));
        let (close, night) = (at("2024-07-09T19:59:59Z"), at("2024-07-09T05:00:00Z"));
        assert!(open.activity > 3.5 * noon.activity && close.activity > 3.5 * noon.activity);
        assert!(night.activity > 0.0 && night.activity < noon.activity);
    }
}
