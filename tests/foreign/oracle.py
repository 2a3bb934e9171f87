"""The bars that a trades topic must become, computed the slow and plain way from the records alone.

Every window keeps the list of its trades and is added up anew whenever it is looked at. Standard library only, exact
numbers throughout; written from the documented rules, not from ticksmith's code.
"""

import os
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import completeness
import tape

OUT_OF_ORDERNESS_MS = 2_000
ALLOWED_LATENESS_MS = int(os.environ.get("TICKSMITH__STREAM__ALLOWED_LATENESS_MS", 600_000))
FUTURE_BOUND_MS = 60_000
EARLIEST_MS = 946_684_800_000
SYMBOL_MAX_BYTES = 64
LARGEST = Decimal(10) ** 15
MOST_PLACES = 18
UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000}
INTERVALS = {
    name: int(name[:-1]) * UNITS_MS[name[-1]]
    for name in os.environ.get("TICKSMITH__STREAM__INTERVALS", "5m,1h").split(",")
}


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
    window_state: str = ""


@dataclass
class Connection:
    feed: str
    mark: int = 0
    live: bool = False
    ended_by: str | None = None
    feed_time: int | None = None
    # Newest feed time at which it was heard of, and feed time - producer's clock.
    heard: int | None = None
    offset: int | None = None


@dataclass
class Window:
    symbol: str
    interval: str
    start: int
    trades: list = field(default_factory=list)
    closed: bool = False
    corrected: bool = False
    # What was told of the feed with the last closed or corrected bar, and inputs beside trades that changed it.
    told: completeness.Known | None = None
    other_inputs: int = 0
    # (why, bar): what it was at its closing and became, once it has changed.
    history: list = field(default_factory=list)

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
        self.connections, self.windows, self.open = {}, {}, {}
        self.story = completeness.Story(self.connections, lambda symbol: home_of(symbol.encode()) == number)
        self.story.grain = min(INTERVALS.values())
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
        event = completeness.believable(event, connection.feed_time)
        gaps = self.story.all_gaps()
        if event["kind"] == "connected":
            self.end_predecessors(event)
        self.story.hear(connection, event["confirmed_feed_time"])
        is_dated = False
        if connection.ended_by is None and event["feed_time"] is not None:
            is_dated = connection.offset is None
            connection.offset = event["feed_time"] - event["at"] // 1000
        self.live_or_end(connection, event)
        if event["kind"] == "heartbeat" and event["feed_time"] is not None:
            connection.feed_time = max(connection.feed_time or event["feed_time"], event["feed_time"])
        self.story.take(event, is_dated)
        self.story.note_gaps(gaps)
        self.tell_news()
        self.advance()

    def live_or_end(self, connection, event):
        if connection.ended_by is not None:
            return
        if event["kind"] in ("disconnected", "released", "silence"):
            connection.live, connection.ended_by = False, event["kind"]
        elif not connection.live:
            # What a producer had queued before another one took its key: over from the start.
            later = (c for n, c in self.connections.items() if n > event["connection"] and c.live)
            connection.live = all(other.feed != event["feed"] for other in later)
            connection.ended_by = None if connection.live else "producer_lost"

    def end_predecessors(self, event):
        """A key has one connection: a newer one of the same feed ends the older."""
        for number, other in self.connections.items():
            if other.live and other.feed == event["feed"] and number < event["connection"]:
                other.live, other.ended_by = False, "producer_lost"

    # What is known of closed windows.

    def known_of(self, window):
        return self.story.of_window(window.symbol, window.start, window.end)

    def is_kept(self, window):
        return self.watermark is None or self.watermark < window.end + ALLOWED_LATENESS_MS

    def tell_news(self, only_open=False):
        for window in self.windows.values():
            if not window.closed or not self.is_kept(window) or only_open and not window.told.open:
                continue
            known = self.known_of(window)
            if known.is_news_after(window.told):
                why = "feed_gap" if known.is_gap_after(window.told) else "confirmed"
                window.told = known
                window.other_inputs += 1
                self.correct(window, why)

    def correct(self, window, why):
        if not window.corrected:
            closing = [bar for bar in self.emissions if named(bar) == (window.symbol, window.interval, window.start)]
            window.history.append(("closed", closing[-1]))
        window.corrected = True
        bar = bar_of(window, window.told)
        window.history.append((why, bar))
        self.emissions.append(bar)

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
            times = [one.feed_time for one in known if one.ended_by is None and one.feed_time is not None]
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
        owner = self.story.owner(trade["symbol"])
        if owner and owner.connection != trade["connection"] and trade["received_at"] > owner.since_us:
            return Verdict(entry, "duplicate", "not_owner")
        problem = unbelievable(trade, connection.feed_time)
        if problem:
            return Verdict(entry, "rejected", problem)
        time, volume = trade["trade_time"], exact(trade["volume"])
        rights = tape.rights_of(trade["symbol"], trade["conditions"], volume, time)
        watermark = self.watermark
        is_late = watermark is not None and time < watermark - ALLOWED_LATENESS_MS
        state = self.window_state(trade) if is_late else ""
        if not is_late and rights.volume:
            self.merge(entry, rights)
        self.story.hear(connection, time)
        self.tell_news(only_open=True)
        if connection.feed_time is None or time > connection.feed_time:
            connection.feed_time = time
            self.advance()
        return Verdict(entry, "late" if is_late else "merged", "", rights, watermark, state)

    def window_state(self, trade):
        """Of the shortest window that a trade which is too late would have belonged to."""
        start = trade["trade_time"] // self.story.grain * self.story.grain
        interval = min(INTERVALS, key=INTERVALS.get)
        window = self.windows.get((trade["symbol"], interval, start))
        if window is None or not self.is_kept(window):
            return "gone"
        return "closed" if window.closed else "open"

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
                self.correct(window, "late_trade")
        self.close_windows()

    def close_windows(self):
        if self.watermark is None:
            return
        for key in [key for key, window in self.open.items() if window.end <= self.watermark]:
            window = self.open.pop(key)
            window.closed = True
            window.told = self.known_of(window)
            window.other_inputs += 1
            self.emissions.append(bar_of(window, window.told))

    def final_bars(self):
        known = {key: window.told or self.known_of(window) for key, window in self.windows.items()}
        return {key: bar_of(window, known[key]) for key, window in self.windows.items()}


def named(bar):
    return bar["symbol"], bar["interval"], bar["window_start"]


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


def bar_of(window, known):
    """Adds a window up from its trades; `known` is what is known of its feed."""
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
        "revision": len(by_arrival) + window.other_inputs,
        "generation": 0,
        "coverage": None if known.up is None else known.up / INTERVALS[window.interval],
        "gap_ms": known.gap,
        "verdict": known.verdict(),
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
