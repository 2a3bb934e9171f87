//! The New York session of an instant: pre-market, regular, post-market or closed, with daylight
//! saving, holidays and half days. A label and the input of the Form-T rule, never an offset.

use std::collections::HashMap;
use std::ops::Range;

use chrono::{DateTime, Datelike, NaiveDate, TimeZone, Timelike, Weekday};
use chrono_tz::America::New_York;

use crate::error::{Error, Result};
use crate::model::Session;

const DAYS: &str = include_str!("../../config/us_market_days.csv");

const PRE_OPENS: u32 = 4 * 60;
const REGULAR_OPENS: u32 = 9 * 60 + 30;
const REGULAR_CLOSES: u32 = 16 * 60;
const POST_CLOSES: u32 = 20 * 60;
const EARLY_CLOSE: u32 = 13 * 60;
const EARLY_POST_CLOSES: u32 = 17 * 60;
/// Every boundary above is a multiple of this in UTC too, New York being whole hours away.
const SLOT_MS: i64 = 30 * 60 * 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    Closed,
    Early,
}

/// The exchange calendar. Outside the years that it covers only weekends are closed.
#[derive(Debug, Clone)]
pub struct Calendar {
    days: HashMap<NaiveDate, Day>,
    covered_ms: Range<i64>,
}

impl Calendar {
    /// The calendar that is built in.
    ///
    /// # Errors
    /// `Config` naming the line that does not parse.
    pub fn built_in() -> Result<Self> {
        let mut calendar = Self { days: HashMap::new(), covered_ms: 0..0 };
        for line in DAYS.lines() {
            let problem = || Error::Config(format!("market days: '{line}'"));
            if let Some(years) = line.strip_prefix("# covers,") {
                calendar.covered_ms = parse_years(years).ok_or_else(problem)?;
            } else if !line.starts_with(['#', 'd']) {
                let (date, day) = parse_day(line).ok_or_else(problem)?;
                calendar.days.insert(date, day);
            }
        }
        Ok(calendar)
    }

    /// Whether holidays and half days are known at `time_ms` (ms since the epoch). Where they are
    /// not, `session_at` takes every weekday for a full one.
    pub fn covers(&self, time_ms: i64) -> bool {
        self.covered_ms.contains(&time_ms)
    }

    /// The session that `time_ms` (ms since the epoch) falls into.
    pub fn session_at(&self, time_ms: i64) -> Session {
        let Some(utc) = DateTime::from_timestamp_millis(time_ms) else { return Session::Closed };
        let local = utc.with_timezone(&New_York);
        let day = self.days.get(&local.date_naive());
        let weekend = matches!(local.weekday(), Weekday::Sat | Weekday::Sun);
        if weekend || day == Some(&Day::Closed) {
            return Session::Closed;
        }
        let (close, post_close) = match day {
            Some(Day::Early) => (EARLY_CLOSE, EARLY_POST_CLOSES),
            _ => (REGULAR_CLOSES, POST_CLOSES),
        };
        let minute = local.hour() * 60 + local.minute();
        match minute {
            m if m < PRE_OPENS => Session::Closed,
            m if m < REGULAR_OPENS => Session::Pre,
            m if m < close => Session::Regular,
            m if m < post_close => Session::Post,
            _ => Session::Closed,
        }
    }
}

/// `FIRST,LAST` years, as the times from New York's first midnight to its last.
fn parse_years(text: &str) -> Option<Range<i64>> {
    let (first, last) = text.split_once(',')?;
    let new_year_ms = |year: i32| {
        let midnight = NaiveDate::from_ymd_opt(year, 1, 1)?.and_hms_opt(0, 0, 0)?;
        Some(New_York.from_local_datetime(&midnight).earliest()?.timestamp_millis())
    };
    Some(new_year_ms(first.parse().ok()?)?..new_year_ms(last.parse::<i32>().ok()? + 1)?)
}

fn parse_day(line: &str) -> Option<(NaiveDate, Day)> {
    let mut fields = line.split(',');
    let date = fields.next()?.parse().ok()?;
    let kind = match fields.next()? {
        "closed" => Day::Closed,
        "early" => Day::Early,
        _ => return None,
    };
    Some((date, kind))
}

/// Remembers the half-hour slot asked for last, since neighbouring trades share it.
#[derive(Debug, Clone)]
pub struct SessionClock {
    calendar: Calendar,
    slot: i64,
    session: Session,
}

impl SessionClock {
    pub fn new(calendar: Calendar) -> Self {
        Self { session: calendar.session_at(0), calendar, slot: 0 }
    }

    pub fn session_at(&mut self, time_ms: i64) -> Session {
        let slot = time_ms.div_euclid(SLOT_MS);
        if slot != self.slot {
            self.slot = slot;
            self.session = self.calendar.session_at(time_ms);
        }
        self.session
    }

    /// See `Calendar::covers`.
    pub fn covers(&self, time_ms: i64) -> bool {
        self.calendar.covers(time_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_follow_new_york() {
        let calendar = Calendar::built_in().expect("the built-in calendar parses");
        let cases = [
            ("2024-03-08T14:29:59Z", Session::Pre), // EST: opens 14:30 UTC
            ("2024-03-08T14:30:00Z", Session::Regular),
            ("2024-03-11T13:30:00Z", Session::Regular), // EDT since the 10th
            ("2024-03-11T20:00:00Z", Session::Post),
            ("2024-11-04T20:59:59Z", Session::Regular), // EST again since the 3rd
            ("2024-11-29T18:00:00Z", Session::Post),    // half day
            ("2024-11-29T22:00:00Z", Session::Closed),
            ("2018-12-05T16:00:00Z", Session::Closed), // day of mourning
            ("2024-07-06T16:00:00Z", Session::Closed), // Saturday
            ("2024-07-05T07:59:59Z", Session::Closed),
            ("2024-07-05T08:00:00Z", Session::Pre),
        ];
        for (text, expected) in cases {
            let time = DateTime::parse_from_rfc3339(text).expect("valid time").timestamp_millis();
            assert_eq!(calendar.session_at(time), expected, "{text}");
        }
    }

    #[test]
    fn the_clock_remembers_no_wrong_session() {
        let calendar = Calendar::built_in().expect("the built-in calendar parses");
        let mut clock = SessionClock::new(calendar.clone());
        for quarter in 0..(14 * 96) {
            let time_ms = 1_709_000_000_000 + quarter * 15 * 60 * 1_000;
            assert_eq!(clock.session_at(time_ms), calendar.session_at(time_ms));
        }
    }
}
