"""What one trade may update: the consolidated tape's rules and New York's trading hours, written down once more.

Taken from the plans' condition matrices (CTS, UTP) by code of the feed; not from ticksmith's table or code.
"""

import csv
import pathlib
from collections import namedtuple
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
DAYS = pathlib.Path(__file__).resolve().parents[2] / "config" / "us_market_days.csv"

NEVER, IF_NO_OTHER, ALWAYS = "never", "if no other", "always"
Rights = namedtuple("Rights", "last high_low volume reason")

EVERYTHING = Rights(ALWAYS, True, True, None)
NOTHING = Rights(NEVER, False, False, None)

FULL = {1, 2, 4, 6, 7, 8, 13, 14, 15, 18, 19, 23, 28, 29, 31, 33, 34, 35, 36, 41}
CONDITIONAL = {9, 21, 30, 32}  # last only where there is no other; high and low always
OFFICIAL = {16, 20, 39}  # not even volume
FORM_T = 24
VOLUME_ONLY = {
    3: "average_price",
    5: "other",
    10: "other",
    11: "other",
    12: "odd_lot",
    17: "other",
    22: "other",
    25: "out_of_sequence",
    26: "other",
    27: "other",
    37: "other",
}
# Of several reasons the first in this list is named.
REASONS = ["odd_lot", "extended", "out_of_sequence", "average_price", "unknown", "other"]


def read_days():
    rows = (line for line in DAYS.read_text().splitlines() if not line.startswith("#"))
    return {row["date"]: row["kind"] for row in csv.DictReader(rows)}


SPECIAL_DAYS = read_days()


def session_of(time_ms):
    """pre, regular, post or closed, by New York's clock."""
    local = datetime.fromtimestamp(time_ms // 1000, timezone.utc).astimezone(NEW_YORK)
    special = SPECIAL_DAYS.get(local.date().isoformat())
    if local.weekday() >= 5 or special == "closed":
        return "closed"
    close, late_close = (13, 17) if special == "early" else (16, 20)
    hour = local.hour + local.minute / 60
    if 4 <= hour < 9.5:
        return "pre"
    if 9.5 <= hour < close:
        return "regular"
    return "post" if close <= hour < late_close else "closed"


def rights_of_code(code, session):
    number = int(code) if code.isdigit() and not code.startswith("0") else -1
    if number in FULL:
        return EVERYTHING
    if number in CONDITIONAL:
        return Rights(IF_NO_OTHER, True, True, None)
    if number in OFFICIAL:
        return NOTHING
    if number in VOLUME_ONLY:
        return Rights(NEVER, False, True, VOLUME_ONLY[number])
    if number == FORM_T:
        return Rights(NEVER, False, True, "extended") if session == "regular" else EVERYTHING
    return Rights(NEVER, False, True, "unknown")


def rights_of(symbol, codes, volume, time_ms):
    """What the trade may update. Only US stocks, written without a colon, are on the tape."""
    if ":" in symbol:
        return EVERYTHING
    session = session_of(time_ms)
    each = [rights_of_code(code, session) for code in codes or []]
    order = [NEVER, IF_NO_OTHER, ALWAYS]
    last = min([one.last for one in each], key=order.index, default=ALWAYS)
    high_low = all(one.high_low for one in each)
    if volume == 0:
        last, high_low = NEVER, False
    reasons = {one.reason for one in each if one.reason} or {"other"}
    priceless = last == NEVER and not high_low
    reason = min(reasons, key=REASONS.index) if priceless else None
    return Rights(last, high_low, all(one.volume for one in each), reason)
