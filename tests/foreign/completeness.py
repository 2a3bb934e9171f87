"""How far a partition's log vouches for each symbol, from the documented rules (docs/semantics/completeness.md).

Times are ms of feed time. Nothing is ever forgotten here; what is asked for is worked out anew from the whole story.
"""

from dataclasses import dataclass

STALE_LIMIT_MS = 3_600_000
LATEST_MS = 253_402_300_799_999
EARLIEST_MS = 946_684_800_000
EVENT_BOUND_MS = 86_400_000
FOREVER = 1 << 62
ENDINGS = {"disconnected": "disconnected", "released": "released", "silence": "silence"}


@dataclass
class Tenure:
    """A connection's ownership of a symbol, from its subscription on."""

    connection: int
    since_us: int
    start: int | None = None


@dataclass(frozen=True)
class Known:
    """What is known of a window; `up` is None where nobody had asked for the symbol."""

    up: int | None = None
    gap: int = 0
    open: int = 0
    lossy: bool = False

    def verdict(self):
        if self.up is None:
            return "unknown"
        if self.gap or self.lossy:
            return "partial"
        return "unknown" if self.open else "complete"

    def is_gap_after(self, told):
        """Something is missing that was not told, or the other way round."""
        claimed_more = told.up is not None and (self.up is None or self.up < told.up)
        return claimed_more or (told.gap, told.lossy) != (self.gap, self.lossy)

    def is_news_after(self, told):
        first = (told.up is None) != (self.up is None)
        return first or self.is_gap_after(told) or (not self.open and told != self)


def believable(event, feed_time):
    """The event without the times that nobody can believe."""
    at_us = min(max(event["at"], 0), LATEST_MS * 1000)
    latest = LATEST_MS
    if at_us:
        latest = min(max(at_us // 1000, feed_time or 0) + EVENT_BOUND_MS, LATEST_MS)
    keep = lambda time: time if time is not None and EARLIEST_MS <= time <= latest else None  # noqa: E731
    times = {name: keep(event[name]) for name in ("feed_time", "confirmed_feed_time")}
    return {**event, **times, "at": at_us}


class Story:
    """Of one partition: who had which symbol, how far each connection was heard of, what was lost."""

    def __init__(self, connections, is_home):
        # The caller's, with feed, live and ended_by; offset and heard are kept here.
        self.connections, self.is_home = connections, is_home
        self.tenures, self.losses = {}, {}
        self.grain = None
        self.gap_rows = {}

    def live(self, number):
        known = self.connections.get(number)
        return bool(known and known.live)

    def owner(self, symbol):
        tenures = self.tenures.get(symbol)
        return tenures[-1] if tenures else None

    def hear(self, known, time):
        if time is not None and known.ended_by is None:
            known.heard = time if known.heard is None else max(known.heard, time)

    # Events, after the caller has seen to who lives and who has ended.

    def take(self, event, first_dated):
        if first_dated:
            self.date(event["connection"])
        if event["kind"] == "subscribed" and self.live(event["connection"]):
            for symbol in filter(self.is_home, event["symbols"]):
                self.take_over(symbol, event)
        if event["kind"] in ("overflow", "decode_loss"):
            self.lose(event)

    def take_over(self, symbol, event):
        number, owner = event["connection"], self.owner(symbol)
        if owner and (owner.connection == number or owner.connection > number and self.live(owner.connection)):
            return
        tenure = Tenure(number, event["at"])
        self.tenures.setdefault(symbol, []).append(tenure)
        start = event["feed_time"]
        if start is None:
            start = self.by_clock(symbol, number, event["at"])
        if start is not None:
            tenure.start = max(start, self.heard_to(symbol, tenure))

    def clock_of_feed(self, number):
        """Feed time - producer's clock on the connection before, of the same feed."""
        feed = self.connections[number].feed
        before = [(n, c.offset) for n, c in self.connections.items() if n < number and c.feed == feed]
        before = [pair for pair in before if pair[1] is not None]
        return max(before)[1] if before else None

    def by_clock(self, symbol, number, at_us):
        offset = self.clock_of_feed(number)
        if offset is not None:
            return at_us // 1000 + offset
        before = [one for one in self.tenures[symbol] if one.connection != number]
        offsets = [self.connections[one.connection].offset for one in before]
        offsets = [offset for offset in offsets if offset is not None]
        if not offsets:
            return None
        # A clock that is not its own may differ, but it came after those before it.
        return max([at_us // 1000 + offsets[-1]] + [one.start for one in before if one.start is not None])

    def heard_to(self, symbol, tenure):
        """The last sign of those before it."""
        tenures = self.tenures[symbol]
        before = tenures[: tenures.index(tenure)]
        return max((end for end, kind in self.ends(before) if kind == "up"), default=-FOREVER)

    def ends(self, tenures):
        return [(end, kind) for _, end, kind, _ in self.stretches(tenures)]

    def date(self, number):
        """The connection's first feed time dates what it subscribed before."""
        own, before = self.connections[number].offset, self.clock_of_feed(number)
        offset = before if before is not None and 0 <= before - own <= STALE_LIMIT_MS else own
        for symbol, tenures in self.tenures.items():
            mine = [at for at, one in enumerate(tenures) if one.connection == number]
            if not mine:
                continue
            floor = tenures[mine[0]].since_us // 1000 + offset
            for one in tenures[mine[0] :]:
                if one.connection == number or one.start is None:
                    one.start = max(one.since_us // 1000 + offset, floor)
            newest, previous = tenures[-1], tenures[-2] if len(tenures) > 1 else None
            if newest.connection == number:
                newest.start = newest.since_us // 1000 + offset
                if previous and not self.live(previous.connection):
                    newest.start = max(newest.start, self.heard_to(symbol, newest))

    def lose(self, event):
        for symbol, tenures in self.tenures.items():
            mine = [at for at, one in enumerate(tenures) if one.connection == event["connection"]]
            if not mine or event["symbols"] and symbol not in event["symbols"]:
                continue
            end = event["feed_time"]
            if end is None:
                newest = tenures[-1]
                if newest.connection == event["connection"] and newest.since_us < event["at"]:
                    newest.since_us = event["at"]
                    start = self.by_clock(symbol, newest.connection, event["at"])
                    if start is not None:
                        newest.start = max(start, self.heard_to(symbol, newest))
                continue
            start = end
            if event["kind"] == "overflow" and event["confirmed_feed_time"] is not None:
                start = min(event["confirmed_feed_time"], end)
            end = min([end] + [one.start for one in tenures[mine[-1] + 1 :] if one.start is not None])
            if start <= end:
                self.note_loss(symbol, start, end, event)

    def note_loss(self, symbol, start, end, event):
        losses = self.losses.setdefault(symbol, [])
        if start == end:
            # One at an instant is noted once a window, and not at all inside a longer one.
            same = lambda a, b: a == b and a // self.grain == start // self.grain or a <= start < b  # noqa: E731
            if any(same(*loss) for loss in losses):
                return
        losses.append((start, end))
        self.gap_rows[symbol, start, event["connection"], event["kind"]] = (end, None, event["lost_records"])

    # Answers.

    def stretches(self, tenures):
        """(start, end, up or open, connection) in order, apart."""
        found, heard_to, open_to = [], -FOREVER, -FOREVER
        for at, one in enumerate(tenures):
            known = self.connections[one.connection]
            taken = min((next.start for next in tenures[at + 1 :] if next.start is not None), default=FOREVER)
            start = heard_to if one.start is None else min(max(one.start, heard_to), taken)
            if known.heard is not None and one.start is not None:
                heard_to = max(min(known.heard, taken), start)
                found.append((start, heard_to, "up", one.connection))
                start = heard_to
            start = max(start, open_to)
            if known.live and start < taken:
                found.append((start, taken, "open", one.connection))
                open_to = taken
        return found

    def of_window(self, symbol, start, end):
        stretches = self.stretches(self.tenures.get(symbol, []))
        ups = [(a, b) for a, b, kind, _ in stretches if kind == "up"]
        if not ups or end <= ups[0][0]:
            return Known()
        inside = lambda a, b: max(0, min(b, end) - max(a, start))  # noqa: E731
        opened = sum(inside(a, b) for a, b, kind, _ in stretches if kind == "open")
        losses = self.losses.get(symbol, [])
        up = sum(inside(a, b) for a, b in minus(ups, losses))
        hit = lambda a, b: a < end and (b > start or a == b == start)  # noqa: E731
        return Known(up, end - start - up - opened, opened, any(hit(*loss) for loss in losses))

    def gaps(self, symbol):
        """{(symbol, start, connection, cause): (end or None, next connection)}; what is live and was not heard of yet
        ends no gap."""
        counts = lambda known: known.offset is not None or not known.live  # noqa: E731
        tenures = [one for one in self.tenures[symbol] if counts(self.connections[one.connection])]
        stretches = self.stretches(tenures)
        first = next((one for one in stretches if one[2] == "up"), None)
        counted = sorted((one for one in stretches if one[0] < one[1] or one is first), key=lambda one: one[0])
        found = {}
        for one, after in zip(counted, counted[1:] + [None]):
            if one[1] < (after[0] if after else FOREVER):
                cause = self.connections[one[3]].ended_by or "takeover"
                found[symbol, one[1], one[3], cause] = (after[0], after[3]) if after else (None, None)
        return found

    def all_gaps(self):
        return {key: ends for symbol in self.tenures for key, ends in self.gaps(symbol).items()}

    def note_gaps(self, before):
        """Rows as they stand after an event that found the gaps `before`."""
        now = self.all_gaps()
        for key in before.keys() - now.keys():
            self.gap_rows[key] = (key[1], None, 0)
        for key, (end, following) in now.items():
            if before.get(key) != (end, following):
                self.gap_rows[key] = (end, following, 0)


def minus(stretches, losses):
    """The stretches without the times that were lost."""
    for start, end in sorted(losses):
        kept = []
        for a, b in stretches:
            kept += [(a, min(b, start)), (max(a, end), b)] if start < b and a < end else [(a, b)]
        stretches = [(a, b) for a, b in kept if a < b]
    return stretches
