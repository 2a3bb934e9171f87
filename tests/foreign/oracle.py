"""The bars that a trades topic must become, computed the slow and plain way from the records alone.

Every window keeps the list of its trades and is added up anew whenever it is looked at. Standard library only, exact
numbers throughout; written from the documented rules, not from ticksmith's code.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import tape

OUT_OF_ORDERNESS_MS = 2_000
ALLOWED_LATENESS_MS = 600_000
FUTURE_BOUND_MS = 60_000
EARLIEST_MS = 946_684_800_000
SYMBOL_MAX_BYTES = 64
LARGEST = Decimal(10) ** 15
MOST_PLACES = 18
INTERVALS = {"5m": 300_000, "1h": 3_600_000}


@dataclass
class Entry:
    """A record of the topic, decoded: exactly one of trade, event and problem is set."""

    partition: int
    offset: int
    key: bytes | None
    trade: dict | None = None
    event: dict | None = None
    problem: str | None = None


@dataclass
class Verdict:
    entry: Entry
    disposition: str
    reason: str = ""
    rights: tape.Rights | None = None
    watermark: int | None = None


@dataclass
class Connection:
    feed: str
    mark: int = 0
    live: bool = False
    ended: bool = False
    feed_time: int | None = None


@dataclass
class Window:
    symbol: str
    interval: str
    start: int
    trades: list = field(default_factory=list)
    closed: bool = False
    corrected: bool = False

    @property
    def end(self):
        return self.start + INTERVALS[self.interval]


def exact(number):
    """The decimal that the double prints as."""
    return Decimal(repr(float(number)))


def is_finite(number):
    return number == number and number not in (float("inf"), float("-inf"))


def fits(amount):
    return amount <= LARGEST and -amount.normalize().as_tuple().exponent <= MOST_PLACES


class Partition:
    """One partition of the trades topic, record by record."""

    def __init__(self, number, home_of):
        self.number, self.home_of = number, home_of
        self.connections, self.owners, self.windows, self.open = {}, {}, {}, {}
        self.watermark = None
        self.verdicts, self.emissions, self.controls = [], [], []

    def take(self, entry):
        if entry.event is not None:
            self.controls.append(entry)
            self.take_event(entry.event)
        elif entry.problem is not None:
            self.verdicts.append(Verdict(entry, "rejected", entry.problem))
        else:
            self.verdicts.append(self.judge(entry))

    # Feed events: liveness, ownership, feed time.

    def take_event(self, event):
        connection = self.pass_mark(event)
        if connection is None:
            return
        kind = event["kind"]
        if kind == "connected":
            self.end_predecessors(event)
        if kind == "subscribed":
            self.take_over(event)
        if kind in ("disconnected", "released", "silence"):
            connection.live, connection.ended = False, True
        elif not connection.ended:
            connection.live = True
        if kind == "heartbeat" and event["feed_time"] is not None:
            connection.feed_time = max(connection.feed_time or event["feed_time"], event["feed_time"])
        self.advance()

    def end_predecessors(self, event):
        """A key has one connection: a newer one of the same feed ends the older."""
        for number, other in self.connections.items():
            if other.live and other.feed == event["feed"] and number < event["connection"]:
                other.live, other.ended = False, True

    def take_over(self, event):
        for symbol in event["symbols"]:
            owner = self.owners.get(symbol)
            if self.home_of(symbol.encode()) == self.number and (
                owner is None or owner[0] <= event["connection"]
            ):
                self.owners[symbol] = (event["connection"], event["at"])

    def pass_mark(self, numbered):
        """The connection, or nothing when the number was there before."""
        known = self.connections.setdefault(numbered["connection"], Connection(numbered["feed"]))
        if numbered["seq"] <= known.mark:
            return None
        known.mark = numbered["seq"]
        return known

    def advance(self):
        known = self.connections.values()
        live = [one for one in known if one.live]
        if live:
            times = [one.feed_time for one in live if one.feed_time is not None]
            newest = min(times, default=None)
        else:
            # A producer that writes no feed events: its newest trade is all there is to go by.
            times = [one.feed_time for one in known if not one.ended and one.feed_time is not None]
            newest = max(times, default=None)
        if newest is None:
            return
        candidate = newest - OUT_OF_ORDERNESS_MS
        if self.watermark is None or candidate > self.watermark:
            self.watermark = candidate
            self.close_windows()

    # Trades.

    def judge(self, entry):
        trade = entry.trade
        problem = self.misplaced(entry)
        if problem:
            return Verdict(entry, "rejected", problem)
        connection = self.pass_mark(trade)
        if connection is None:
            return Verdict(entry, "duplicate", "seq")
        owner, since = self.owners.get(trade["symbol"], (trade["connection"], 0))
        if owner != trade["connection"] and trade["received_at"] > since:
            return Verdict(entry, "duplicate", "not_owner")
        problem = unbelievable(trade, connection.feed_time)
        if problem:
            return Verdict(entry, "rejected", problem)
        time, volume = trade["trade_time"], exact(trade["volume"])
        rights = tape.rights_of(trade["symbol"], trade["conditions"], volume, time)
        watermark = self.watermark
        is_late = watermark is not None and time < watermark - ALLOWED_LATENESS_MS
        if not is_late and rights.volume:
            self.merge(entry, rights)
        if connection.feed_time is None or time > connection.feed_time:
            connection.feed_time = time
            self.advance()
        return Verdict(entry, "late" if is_late else "merged", "", rights, watermark)

    def misplaced(self, entry):
        symbol = entry.trade["symbol"].encode()
        if not symbol:
            return "symbol_empty"
        if len(symbol) > SYMBOL_MAX_BYTES:
            return "symbol_too_long"
        if entry.key != symbol:
            return "key_mismatch"
        return "wrong_partition" if self.home_of(symbol) != self.number else None

    def merge(self, entry, rights):
        trade = entry.trade
        for interval, length in INTERVALS.items():
            start = trade["trade_time"] // length * length
            key = (trade["symbol"], interval, start)
            if key not in self.windows:
                self.windows[key] = self.open[key] = Window(*key)
            window = self.windows[key]
            window.trades.append((trade["trade_time"], entry.offset, trade, rights))
            if window.closed:
                window.corrected = True
                self.emissions.append(bar_of(window))
        self.close_windows()

    def close_windows(self):
        if self.watermark is None:
            return
        for key in [key for key, window in self.open.items() if window.end <= self.watermark]:
            window = self.open.pop(key)
            window.closed = True
            self.emissions.append(bar_of(window))

    def final_bars(self):
        return {key: bar_of(window) for key, window in self.windows.items()}


def unbelievable(trade, feed_time):
    price, volume, time = trade["price"], trade["volume"], trade["trade_time"]
    if not is_finite(price):
        return "price_not_finite"
    if price <= 0:
        return "price_not_positive"
    if not fits(exact(price)):
        return "price_out_of_range"
    if not is_finite(volume):
        return "volume_not_finite"
    if volume < 0:
        return "volume_negative"
    if not fits(exact(volume)):
        return "volume_out_of_range"
    if time < EARLIEST_MS:
        return "time_too_early"
    known = [trade["received_at"] // 1000] + ([] if feed_time is None else [feed_time])
    if trade["received_at"] and time > max(known) + FUTURE_BOUND_MS:
        return "time_in_future"
    return None


def bar_of(window):
    """Adds a window up from its trades."""
    by_arrival = sorted(window.trades, key=lambda one: one[:2])
    setting_last = [t for t in by_arrival if t[3].last == tape.ALWAYS] or [
        t for t in by_arrival if t[3].last == tape.IF_NO_OTHER
    ]
    extremes = [t for t in by_arrival if t[3].high_low]
    volume = sum((exact(t[2]["volume"]) for t in by_arrival), Decimal(0))
    turnover = sum(
        (Fraction(exact(t[2]["price"])) * Fraction(exact(t[2]["volume"])) for t in by_arrival), Fraction(0)
    )
    set_by = {
        "open": setting_last[0] if setting_last else None,
        "high": max(extremes, key=lambda t: (t[2]["price"], [-t[0], -t[1]]), default=None),
        "low": min(extremes, key=lambda t: (t[2]["price"], t[:2]), default=None),
        "close": setting_last[-1] if setting_last else None,
    }
    return {
        "symbol": window.symbol,
        "interval": window.interval,
        "window_start": window.start,
        "window_end": window.end,
        **{name: one and one[2]["price"] for name, one in set_by.items()},
        **{name + "_trade": one and reference(one[2]) for name, one in set_by.items()},
        "volume": float(volume),
        "volume_exact": volume,
        "vwap": float(turnover / Fraction(volume)) if volume else None,
        "trade_count": len(by_arrival),
        "excluded": excluded_of(by_arrival),
        "session": session_label(window),
        "state": "corrected" if window.corrected else "closed" if window.closed else "provisional",
        "revision": len(by_arrival) + window.closed,
        "generation": 0,
    }


def reference(trade):
    return {name: trade[name] for name in ("trade_time", "connection", "seq")}


def excluded_of(trades):
    """Volume and number of the trades that set no price, by reason."""
    excluded = {}
    for _, _, trade, rights in trades:
        if rights.last == tape.NEVER and not rights.high_low:
            volume, count = excluded.get(rights.reason, (Decimal(0), 0))
            excluded[rights.reason] = (volume + exact(trade["volume"]), count + 1)
    return excluded


def session_label(window):
    if ":" in window.symbol:
        return None
    sessions = {tape.session_of(time) for time, *_ in window.trades}
    return sessions.pop() if len(sessions) == 1 else "mixed"


def replay(entries, partitions, home_of):
    """Every partition of the topic, judged to its end."""
    judged = {number: Partition(number, home_of) for number in range(partitions)}
    for entry in entries:
        judged[entry.partition].take(entry)
    return judged
