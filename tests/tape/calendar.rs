//! The exchange's days, derived once more from its published rules, against the data file and the
//! sessions: every boundary of every day from 2013 to 2030.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate, TimeDelta, Weekday};
use ticksmith::engine::session::Calendar;
use ticksmith::model::Session;

use crate::bench::time_ms;

const FILE: &str = include_str!("../../config/us_market_days.csv");
const YEARS: std::ops::RangeInclusive<i32> = 2013..=2030;
const MINUTE_MS: i64 = 60_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    Closed,
    Early,
}

fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).expect("a date")
}

fn nth(year: i32, month: u32, weekday: Weekday, n: u8) -> NaiveDate {
    NaiveDate::from_weekday_of_month_opt(year, month, weekday, n).expect("a date")
}

fn last_monday_of_may(year: i32) -> NaiveDate {
    let mut day = date(year, 5, 31);
    while day.weekday() != Weekday::Mon {
        day = day.pred_opt().expect("a date");
    }
    day
}

/// Easter Sunday of the Gregorian calendar, after Meeus, Jones and Butcher.
fn easter(year: i32) -> NaiveDate {
    let (golden, century, rest) = (year % 19, year / 100, year % 100);
    let correction = (century + 8) / 25;
    let shift = (century - correction + 1) / 3;
    let epact = (19 * golden + century - century / 4 - shift + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (rest / 4) - epact - rest % 4) % 7;
    let late = (golden + 11 * epact + 22 * weekday) / 451;
    let day = epact + weekday - 7 * late + 114;
    date(year, (day / 31) as u32, (day % 31 + 1) as u32)
}

/// A holiday on a Sunday is kept on Monday, one on a Saturday on Friday.
fn observed(day: NaiveDate) -> NaiveDate {
    match day.weekday() {
        Weekday::Sat => day - Days::new(1),
        Weekday::Sun => day + Days::new(1),
        _ => day,
    }
}

fn days_of(year: i32) -> BTreeMap<NaiveDate, Day> {
    let thanksgiving = nth(year, 11, Weekday::Thu, 4);
    let mut closed = vec![
        nth(year, 1, Weekday::Mon, 3),
        nth(year, 2, Weekday::Mon, 3),
        easter(year) - Days::new(2),
        last_monday_of_may(year),
        observed(date(year, 7, 4)),
        nth(year, 9, Weekday::Mon, 1),
        thanksgiving,
        observed(date(year, 12, 25)),
    ];
    // The exchange does not close on the last day of a year for the sake of the next.
    if date(year, 1, 1).weekday() != Weekday::Sat {
        closed.push(observed(date(year, 1, 1)));
    }
    if year >= 2022 {
        closed.push(observed(date(year, 6, 19)));
    }
    let mut days: BTreeMap<NaiveDate, Day> =
        closed.into_iter().map(|day| (day, Day::Closed)).collect();
    days.insert(thanksgiving + Days::new(1), Day::Early);
    // The eve of a holiday is short when both are weekdays.
    for eve in [date(year, 7, 3), date(year, 12, 24)] {
        let is_weekday = |day: NaiveDate| !matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
        if is_weekday(eve) && is_weekday(eve + Days::new(1)) {
            days.insert(eve, Day::Early);
        }
    }
    days
}

fn all_days() -> BTreeMap<NaiveDate, Day> {
    // No rule gives these: mourning for G. H. W. Bush and for J. Carter.
    let unscheduled = [date(2018, 12, 5), date(2025, 1, 9)].map(|day| (day, Day::Closed));
    YEARS.flat_map(days_of).chain(unscheduled).collect()
}

#[test]
fn the_file_has_the_days_that_the_published_rules_give() {
    let rows = FILE.lines().filter(|line| !line.starts_with(['#', 'd']));
    let listed: Vec<(NaiveDate, Day)> = rows
        .map(|row| {
            let fields: Vec<&str> = row.split(',').collect();
            let day = if fields[1] == "closed" { Day::Closed } else { Day::Early };
            (fields[0].parse().expect("a date"), day)
        })
        .collect();
    let ruled: Vec<(NaiveDate, Day)> = all_days().into_iter().collect();
    assert_eq!(listed, ruled, "in order, each once");
}

/// Hours that New York is behind UTC at noon of `day`, by the law of 2007.
fn hours_behind(day: NaiveDate) -> i64 {
    let summer = nth(day.year(), 3, Weekday::Sun, 2)..nth(day.year(), 11, Weekday::Sun, 1);
    if summer.contains(&day) { 4 } else { 5 }
}

/// New York's `minutes` after midnight of `day`, ms since the epoch.
fn new_york_ms(day: NaiveDate, minutes: i64) -> i64 {
    let local = day.and_hms_opt(0, 0, 0).expect("a time") + TimeDelta::minutes(minutes);
    (local + TimeDelta::hours(hours_behind(day))).and_utc().timestamp_millis()
}

#[test]
fn every_boundary_of_every_day_is_where_the_rules_put_it() {
    use Session::{Closed, Post, Pre, Regular};
    let calendar = Calendar::built_in().expect("the built-in calendar parses");
    let special = all_days();
    let mut trading_days: BTreeMap<i32, i32> = BTreeMap::new();
    for day in date(2013, 1, 1).iter_days().take_while(|day| day.year() <= 2030) {
        let weekend = matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
        let sessions = match special.get(&day) {
            _ if weekend => [Closed; 4],
            Some(Day::Closed) => [Closed; 4],
            _ => [Pre, Regular, Post, Closed],
        };
        let short = special.get(&day) == Some(&Day::Early);
        let (close, post_close) = if short { (13 * 60, 17 * 60) } else { (16 * 60, 20 * 60) };
        *trading_days.entry(day.year()).or_default() += i32::from(sessions[0] == Pre);
        let mut before = Closed;
        for (minutes, after) in [4 * 60, 9 * 60 + 30, close, post_close].into_iter().zip(sessions) {
            let at_ms = new_york_ms(day, minutes);
            for (time_ms, expected) in [
                (at_ms - MINUTE_MS, before),
                (at_ms - 1, before),
                (at_ms, after),
                (at_ms + MINUTE_MS, after),
            ] {
                assert_eq!(calendar.session_at(time_ms), expected, "{day} {minutes} {time_ms}");
                assert!(calendar.covers(time_ms));
            }
            before = after;
        }
    }
    // What the exchange counted itself, year by year.
    let counted = [252, 252, 252, 252, 251, 251, 252, 253, 252, 251, 250, 252, 250];
    let found: Vec<i32> = (2013..=2025).map(|year| trading_days[&year]).collect();
    assert_eq!(found, counted);
}

#[test]
fn days_that_people_remember() {
    let calendar = Calendar::built_in().expect("the built-in calendar parses");
    use Session::{Closed, Post, Pre, Regular};
    let cases = [
        ("2013-07-03T16:59:00Z", Regular), // 12:59 of the eve of Independence Day
        ("2013-07-03T17:00:00Z", Post),
        ("2013-07-03T21:00:00Z", Closed),
        ("2014-12-24T18:01:00Z", Post),    // Christmas Eve
        ("2019-11-29T18:01:00Z", Post),    // the day after Thanksgiving
        ("2015-07-03T15:00:00Z", Closed),  // Independence Day was a Saturday
        ("2021-07-05T15:00:00Z", Closed),  // and here a Sunday
        ("2021-07-02T18:00:00Z", Regular), // no short day before it then
        ("2021-12-24T16:00:00Z", Closed),  // Christmas was a Saturday
        ("2016-12-26T16:00:00Z", Closed),  // and here a Sunday
        ("2021-12-31T16:00:00Z", Regular), // New Year's Day was a Saturday: not kept
        ("2021-06-18T15:00:00Z", Regular), // Juneteenth is kept from 2022 on
        ("2022-06-20T15:00:00Z", Closed),
        ("2024-03-29T15:00:00Z", Closed), // Good Friday
        ("2018-12-05T16:00:00Z", Closed), // mourning, not announced before
        ("2018-12-04T16:00:00Z", Regular),
        ("2025-01-09T16:00:00Z", Closed),
        ("2025-01-10T16:00:00Z", Regular),
        // The Fridays and Mondays around both changes of the clocks.
        ("2016-03-11T14:29:00Z", Pre),
        ("2016-03-11T14:31:00Z", Regular),
        ("2016-03-14T13:29:00Z", Pre),
        ("2016-03-14T13:31:00Z", Regular),
        ("2022-11-04T19:59:00Z", Regular),
        ("2022-11-04T20:01:00Z", Post),
        ("2022-11-07T20:59:00Z", Regular),
        ("2022-11-07T21:01:00Z", Post),
        ("2029-03-09T08:59:00Z", Closed),
        ("2029-03-09T09:01:00Z", Pre),
        ("2029-03-12T07:59:00Z", Closed),
        ("2029-03-12T08:01:00Z", Pre),
    ];
    for (text, expected) in cases {
        assert_eq!(calendar.session_at(time_ms(text)), expected, "{text}");
    }
}

#[test]
fn outside_its_years_the_calendar_knows_weekdays_only_and_says_so() {
    let calendar = Calendar::built_in().expect("the built-in calendar parses");
    let cases = [
        ("2012-12-31T04:59:59Z", false, Session::Closed),
        ("2012-12-25T16:00:00Z", false, Session::Regular), // Christmas, taken for a weekday
        ("2012-12-29T16:00:00Z", false, Session::Closed),  // a Saturday
        ("2013-01-01T04:59:59.999Z", false, Session::Closed), // still 2012 in New York
        ("2013-01-01T05:00:00Z", true, Session::Closed),
        ("2031-01-01T04:59:59.999Z", true, Session::Closed),
        ("2031-01-01T05:00:00Z", false, Session::Closed),
        ("2031-01-01T16:00:00Z", false, Session::Regular),
    ];
    for (text, covered, session) in cases {
        assert_eq!(calendar.covers(time_ms(text)), covered, "{text}");
        assert_eq!(calendar.session_at(time_ms(text)), session, "{text}");
    }
}
