"""Holds what a market traded (a recording that a simulator replayed, each trade once) against the trades topic: what is
not there lies in a gap that the bars know of, what is there came in order, and nothing else is there.

Prints what it counted as JSON. Exit code 0: no difference. Otherwise the differences, one a line, and 1.
"""

import argparse
import gzip
import json
import sys
from collections import Counter, defaultdict

from records import FEED_EVENT_HEADER, SCHEMA, read_topic, topic_name

SHOWN = 25
# A subscription is on its way to the feed for a moment, and a trade to us.
ON_THE_WAY_MS = 100


def traded(path):
    """Symbol and time of every trade of the recording; each pair comes once."""
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt") as lines:
        for line in lines:
            frame = json.loads(line)
            for one in frame.get("data", []):
                yield one["s"], one["t"]


class Log:
    """The trades topic, connection by connection."""

    def __init__(self):
        records, self.partitions = read_topic(topic_name("trades"))
        self.trades, self.events, self.repeats = {}, defaultdict(dict), 0
        self.seqs = defaultdict(set)
        self.problems = []
        marks = defaultdict(int)
        for record in records:
            if record.value is not None:
                value, kind = SCHEMA.decode(record.value, "Trade"), "trade"
            else:
                value, kind = SCHEMA.decode(record.headers[FEED_EVENT_HEADER], "FeedEvent"), "event"
            connection, seq = value["connection"], value["seq"]
            self.take(kind, connection, seq, value)
            # Sent again after a broken connection to the log: a step back, and then the same once more.
            place = (record.partition, connection)
            if seq > marks[place]:
                pass
            elif seq in self.seqs[place]:
                self.repeats += 1
            else:
                self.problems.append(f"{place}: seq {seq} comes after seq {marks[place]}")
            marks[place] = max(marks[place], seq)
            self.seqs[place].add(seq)

    def take(self, kind, connection, seq, value):
        known = self.trades if kind == "trade" else self.events[connection]
        key = (connection, seq) if kind == "trade" else seq
        if key in known and known[key] != value:
            self.problems.append(f"connection {connection}: two contents of seq {seq}")
        known[key] = value

    def holes(self):
        """All partitions together have every seq of a connection, unless it declared an overflow."""
        by_connection = defaultdict(set)
        for (_, connection), seqs in self.seqs.items():
            by_connection[connection] |= seqs
        for connection, seqs in by_connection.items():
            missing = max(seqs) - len(seqs)
            if missing and not self.overflows(connection):
                yield f"connection {connection}: {missing} seqs are missing, and no overflow is declared"

    def overflows(self, connection):
        return [e for e in self.events[connection].values() if e["kind"] == "overflow"]


def gaps_of_tables():
    """Gaps by symbol, as the stream wrote them."""
    import tables

    cluster, session = tables.connect()
    found = defaultdict(list)
    try:
        for row in tables.rows(session, "feed_gaps", "lost_records"):
            end = row["gap_end"]
            found[row["symbol"]].append((row["gap_start"], float("inf") if end is None else end, row["cause"]))
    finally:
        cluster.shutdown()
    return found


def undeclared(missing, gaps):
    """Trades of which no gap says that they may be missing."""
    for symbol, time_ms in missing:
        if not any(start < time_ms <= end + ON_THE_WAY_MS for start, end, _ in gaps[symbol]):
            yield f"{symbol} {time_ms} is neither in the topic nor in a gap"


def before_kills(log, kills):
    """Milliseconds from the newest trade of a killed producer that is in the topic to its death, each by the clock."""
    received = sorted(trade["received_at"] // 1000 for trade in log.trades.values())
    for killed_ms in kills:
        kept = [at for at in received if at <= killed_ms]
        yield killed_ms - kept[-1] if kept else None


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("recording")
    arguments.add_argument("--kills", default="", help="when a producer was killed, ms since the epoch, with commas")
    arguments.add_argument("--expect", default="", help="counts that must not be 0, with commas")
    arguments.add_argument("--all-overflowed", action="store_true", help="nothing else cost any trade")
    given = arguments.parse_args()
    market = list(traded(given.recording))
    log, gaps = Log(), gaps_of_tables()
    arrived = Counter((t["symbol"], t["trade_time"]) for t in log.trades.values())
    problems = [*log.problems, *log.holes()]
    problems += [f"{pair} was never traded" for pair in arrived.keys() - set(market)]
    problems += [f"{pair} was numbered {count} times" for pair, count in arrived.items() if count > 1]
    missing = [pair for pair in market if pair not in arrived]
    problems += undeclared(missing, gaps)
    counted = {
        "market": len(market),
        "topic": len(arrived),
        "missing": len(missing),
        "repeats": log.repeats,
        "connections": len(log.events),
        "overflows": sum(len(log.overflows(connection)) for connection in log.events),
        "overflowed": sum(e["lost_records"] for c in log.events for e in log.overflows(c)),
        "gaps": dict(Counter(cause for of_symbol in gaps.values() for _, _, cause in of_symbol)),
        "lost before kills, ms": list(before_kills(log, map(int, filter(None, given.kills.split(","))))),
    }
    print(json.dumps(counted))
    if given.all_overflowed and counted["missing"] != counted["overflowed"]:
        problems.append(f"{counted['missing']} trades are missing, {counted['overflowed']} are declared lost")
    problems += [f"there is no '{name}'" for name in filter(None, given.expect.split(",")) if not counted[name]]
    print("\n".join(problems[:SHOWN]))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
