"""A long outage of Kafka, for scripts/outage.sh: makes the market that goes on meanwhile, and judges what came of it.

    outage.py record FILE --seconds N --rate N     a recording for `ticksmith simulate --frames`
    outage.py judge --seconds N --rate N           the trades and bars topics against that recording
"""

import argparse
import gzip
import json
import sys

from records import FEED_EVENT_HEADER, SCHEMA, records_of, topic_name

# 2024-03-11 15:00:00 UTC, where windows of all lengths begin.
BASE_MS = 1_710_169_200_000
SYMBOLS = [f"BINANCE:S{number}" for number in range(10)]
TRADES_A_FRAME = 5
# The first subscription lies within so much of the first trade.
SETTLING_MS = 1_000


def trade(number, rate):
    """Symbol and time of the trade of this number; no symbol trades twice in a millisecond."""
    frame = number // TRADES_A_FRAME
    return SYMBOLS[number % len(SYMBOLS)], BASE_MS + frame * TRADES_A_FRAME * 1000 // rate


def record(given):
    count = given.seconds * given.rate
    with gzip.open(given.file, "wt", compresslevel=1) as out:
        for first in range(0, count, TRADES_A_FRAME):
            of_frame = [trade(number, given.rate) for number in range(first, min(count, first + TRADES_A_FRAME))]
            data = [{"p": 100 + first % 50, "s": symbol, "t": time, "v": 1} for symbol, time in of_frame]
            out.write(json.dumps({"data": data, "type": "trade"}, separators=(",", ":")) + "\n")
    print(json.dumps({"trades": count, "symbols": ",".join(SYMBOLS)}))


class Judge:
    def __init__(self, given):
        self.rate, self.count = given.rate, given.seconds * given.rate
        self.numbers = {trade(number, given.rate): number for number in range(self.count)}
        self.arrived = bytearray(self.count)
        self.repeats, self.twice, self.unknown = 0, 0, 0
        self.connections, self.overflows = set(), {}
        marks = {}
        for one in records_of(topic_name("trades")):
            if one.value is None:
                value = SCHEMA.decode(one.headers[FEED_EVENT_HEADER], "FeedEvent")
                if value["kind"] == "overflow":
                    self.overflows[value["connection"], value["seq"]] = value
            else:
                value = SCHEMA.decode(one.value, "Trade")
            self.connections.add(value["connection"])
            place, seq = (one.partition, value["connection"]), value["seq"]
            if seq <= marks.get(place, 0):
                # Sent again after a connection to Kafka broke: the stream knows it by its seq.
                self.repeats += 1
            elif one.value is not None:
                self.arrive(value)
            marks[place] = max(marks.get(place, 0), seq)

    def arrive(self, value):
        number = self.numbers.get((value["symbol"], value["trade_time"]))
        if number is None:
            self.unknown += 1
        elif self.arrived[number]:
            self.twice += 1
        else:
            self.arrived[number] = 1

    def missing(self):
        return [number for number in range(self.count) if not self.arrived[number]]

    def problems(self, counted):
        """What is not as it must be; fills in the counts."""
        missing = self.missing()
        events = sorted(self.overflows.values(), key=lambda event: event["seq"])
        lost = sum(event["lost_records"] for event in events)
        counted |= {
            "sent": self.count,
            "in the topic": self.count - len(missing),
            "missing": len(missing),
            "declared lost": lost,
            "overflow events": len(events),
            "connections": len(self.connections),
            "sent again": self.repeats,
        }
        if self.unknown or self.twice:
            yield f"{self.unknown} trades are none of the market's, {self.twice} came twice"
        if lost != len(missing):
            yield f"{len(missing)} trades are missing, {lost} are declared lost"
        if len(events) > 1 or bool(events) != bool(missing):
            yield f"{len(events)} overflow events for {len(missing)} missing trades"
        gap = (0, 0)
        if len(events) == 1 and missing:
            gap = events[0]["confirmed_feed_time"], events[0]["feed_time"]
            first, last = trade(missing[0], self.rate)[1], trade(missing[-1], self.rate)[1]
            counted |= {"declared gap, ms": gap[1] - gap[0], "time of the missing, ms": last - first}
            if not gap[0] < first <= last <= gap[1]:
                yield f"the gap {gap} does not hold the missing trades {first} to {last}"
            kept = [n for n in range(missing[0], missing[-1]) if self.arrived[n]]
            counted["arrived from within the gap"] = len(kept)
        yield from self.bar_problems(gap, counted)

    def bar_problems(self, gap, counted):
        """`gap_ms` of each closed bar is what the overflow took of its window."""
        newest = {}
        for one in records_of(topic_name("bars")):
            bar = SCHEMA.decode(one.value, "Bar")
            newest[bar["symbol"], bar["interval"], bar["window_start"]] = bar
        closed = {key: bar for key, bar in newest.items() if bar["state"] != "provisional"}
        counted |= {"closed bars": len(closed), "partial bars": 0}
        if not closed:
            yield "no bar was closed"
        for (symbol, interval, start), bar in closed.items():
            expected = max(0, min(gap[1], bar["window_end"]) - max(gap[0], start))
            slack = SETTLING_MS if start <= BASE_MS else 0
            counted["partial bars"] += bar["verdict"] == "partial" and expected > 0
            if not expected <= bar["gap_ms"] <= expected + slack:
                yield f"{symbol} {interval} {start}: gap_ms {bar['gap_ms']}, the overflow took {expected}"
        of_one = [bar["gap_ms"] for (symbol, interval, _), bar in closed.items() if (symbol, interval) == (SYMBOLS[0], "1m")]
        counted["gap_ms of one symbol's closed 1m bars"] = sum(of_one)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("what", choices=["record", "judge"])
    arguments.add_argument("file", nargs="?")
    arguments.add_argument("--seconds", type=int, required=True)
    arguments.add_argument("--rate", type=int, required=True, help="trades a second")
    given = arguments.parse_args()
    if given.what == "record":
        return record(given)
    counted = {}
    problems = list(Judge(given).problems(counted))
    for name, count in counted.items():
        print(f"{name}: {count}")
    print("\n".join(problems[:25]) or "all of it as it must be")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
