"""The days on which the New York exchanges do not trade, or close at 13:00, by the exchange's published rules.

Computed, not read from ticksmith's table: run as a script it compares the two.
"""

import csv
import functools
import pathlib
import sys
from datetime import date, timedelta

TABLE = pathlib.Path(__file__).resolve().parents[2] / "config" / "us_market_days.csv"
MONDAY, THURSDAY, SATURDAY, SUNDAY = 0, 3, 5, 6
UNSCHEDULED = {date(2018, 12, 5), date(2025, 1, 9)}  # days of mourning


def easter(year):
    """Anonymous Gregorian computus."""
    a, b, c = year % 19, year // 100, year % 100
    d = (19 * a + b - b // 4 - ((b - (b + 8) // 25 + 1) // 3) + 15) % 30
    e = (32 + 2 * (b % 4) + 2 * (c // 4) - d - c % 4) % 7
    f = d + e - 7 * ((a + 11 * d + 22 * e) // 451) + 114
    return date(year, f // 31, f % 31 + 1)


def nth(year, month, weekday, n):
    first = date(year, month, 1)
    return first + timedelta((weekday - first.weekday()) % 7 + 7 * (n - 1))


def observed(day):
    """A Saturday's holiday is kept on Friday, a Sunday's on Monday."""
    return day + timedelta({SATURDAY: -1, SUNDAY: 1}.get(day.weekday(), 0))


@functools.cache
def special_days(year):
    """closed or early, by date."""
    thanksgiving = nth(year, 11, THURSDAY, 4)
    last_of_may = nth(year, 5, MONDAY, 5)
    closed = {
        nth(year, 1, MONDAY, 3),
        nth(year, 2, MONDAY, 3),
        easter(year) - timedelta(2),
        last_of_may if last_of_may.month == 5 else nth(year, 5, MONDAY, 4),
        observed(date(year, 7, 4)),
        nth(year, 9, MONDAY, 1),
        thanksgiving,
        observed(date(year, 12, 25)),
    }
    new_year = date(year, 1, 1)
    if new_year.weekday() != SATURDAY:  # the last trading day of a year is never given up
        closed.add(observed(new_year))
    if year >= 2022:
        closed.add(observed(date(year, 6, 19)))
    closed |= {day for day in UNSCHEDULED if day.year == year}
    early = {thanksgiving + timedelta(1), date(year, 12, 24), date(year, 7, 3)}
    if date(year, 7, 4).weekday() in (SATURDAY, SUNDAY, MONDAY):
        early.discard(date(year, 7, 3))
    early = {day for day in early if day.weekday() < SATURDAY and day not in closed}
    return {day: "closed" for day in closed} | {day: "early" for day in early}


def main():
    rows = csv.DictReader(line for line in TABLE.read_text().splitlines() if not line.startswith("#"))
    listed = {date.fromisoformat(row["date"]): row["kind"] for row in rows}
    years = range(min(listed).year, max(listed).year + 1)
    computed = {day: kind for year in years for day, kind in special_days(year).items()}
    differing = sorted(listed.items() ^ computed.items())
    for day, kind in differing:
        print(day, kind, "only in the table" if listed.get(day) == kind else "only by the rules")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
