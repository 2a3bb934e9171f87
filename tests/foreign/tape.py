"""What one trade may update: the consolidated tape's rules and New York's trading hours, written down once more.

Taken from the plans' condition matrices (CTS, UTP) by code of the feed; not from ticksmith's table or code.
"""

from collections import namedtuple
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import market_days

NEW_YORK = ZoneInfo("America/New_York")

NEVER, IF_NO_OTHER, ALWAYS = "never", "if no other", "always"
Rights = namedtuple("Rights", "last high_low volume reason")

EVERYTHING = Rights(ALWAYS, True, True, None)
NOTHING = Rights(NEVER, False, False, None)

FULL = {1, 2, 4, 6, 7, 8, 13, 14, 15, 18, 19, 23, 28, 29, 31, 33, 34, 35, 36, 41}
CONDITIONAL = {9, 21, 30, 32}  # last only where there is no other; high and low always
OFFICIAL = {16, 20, 39}  # not even volume
FORM_T = 24
# What the minute bars of brokers let set a price; Form-T never does.
BROKERS = FULL
POLICIES = ["sip", "conservative", "all"]
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


def session_of(time_ms):
    """pre, regular, post or closed, by New York's clock."""
    local = datetime.fromtimestamp(time_ms // 1000, timezone.utc).astimezone(NEW_YORK)
    special = market_days.special_days(local.year).get(local.date())
    if local.weekday() >= 5 or special == "closed":
        return "closed"
    close, late_close = (13, 17) if special == "early" else (16, 20)
    hour = local.hour + local.minute / 60
    if 4 <= hour < 9.5:
        return "pre"
    if 9.5 <= hour < close:
        return "regular"
    return "post" if close <= hour < late_close else "closed"


def rights_of_code(code, session, policy="sip"):
    number = int(code) if code.isascii() and code.isdigit() and not code.startswith("0") else -1
    rights = rights_on_the_tape(number, session)
    if policy == "conservative" and number not in BROKERS:
        return rights._replace(last=NEVER, high_low=False)
    return rights


def rights_on_the_tape(number, session):
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


def rights_of(symbol, codes, volume, time_ms, policy=None):
    """What the trade may update. Only US stocks, written without a colon, are on the tape, unless a policy is given."""
    is_stock = ":" not in symbol
    policy = policy or ("sip" if is_stock else "all")
    session = session_of(time_ms)
    each = [] if policy == "all" else [rights_of_code(code, session, policy) for code in codes or []]
    order = [NEVER, IF_NO_OTHER, ALWAYS]
    last = min([one.last for one in each], key=order.index, default=ALWAYS)
    high_low = all(one.high_low for one in each)
    if is_stock and volume == 0:
        last, high_low = NEVER, False
    reasons = {one.reason for one in each if one.reason} or {"other"}
    priceless = last == NEVER and not high_low
    reason = min(reasons, key=REASONS.index) if priceless else None
    return Rights(last, high_low, all(one.volume for one in each), reason)
