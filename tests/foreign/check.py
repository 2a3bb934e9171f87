"""Holds everything that ticksmith left in Kafka and Cassandra against the oracle's reading of the trades topic.

Exit code 0: no difference. Otherwise the differences, one a line, and 1. Prints what it counted as JSON.
"""

import argparse
import json
import math
import sys
import time
from collections import Counter, defaultdict
from decimal import Decimal

import oracle
import tables
from oracle import exact
from records import FEED_EVENT_HEADER, SCHEMA, Record, Undecodable, home_of, read_topic, topic_name

SHOWN = 25
BAR_FIELDS = (
    "symbol interval window_start window_end open high low close open_trade high_trade low_trade close_trade "
    "volume volume_exact trade_count excluded session state revision generation coverage gap_ms verdict"
).split()
TRADE_FIELDS = "symbol price volume trade_time conditions connection seq received_at".split()


def entry_of(record):
    """A record of the trades topic, decoded as far as it can be."""
    where = (record.partition, record.offset, record.key)
    try:
        if record.value is not None:
            return oracle.Entry(*where, trade=SCHEMA.decode(record.value, "Trade"))
    except Undecodable:
        return oracle.Entry(*where, problem="undecodable")
    if FEED_EVENT_HEADER not in record.headers:
        return oracle.Entry(*where, problem="null_value")
    try:
        return oracle.Entry(*where, event=SCHEMA.decode(record.headers[FEED_EVENT_HEADER], "FeedEvent"))
    except Undecodable:
        return oracle.Entry(*where, problem="bad_event")


def differs(name, expected, found):
    if isinstance(expected, float) and isinstance(found, float):
        if name == "vwap":
            return not math.isclose(expected, found, rel_tol=3e-16, abs_tol=1e-18)
        return expected != found and not (math.isnan(expected) and math.isnan(found))
    return expected != found


def compare(where, names, expected, found):
    for name in names:
        if differs(name, expected.get(name), found.get(name)):
            yield f"{where}: {name} is {found.get(name)!r}, the oracle says {expected.get(name)!r}"


def keyed(what, items, key, may_repeat=False):
    """Items by key; a key that comes twice is a difference, unless repeats are allowed and it is one."""
    by_key, problems = {}, []
    for item in items:
        if key(item) in by_key and not (may_repeat and content(item) == content(by_key[key(item)])):
            problems.append(f"{what}: {key(item)} is there twice")
        by_key[key(item)] = item
    return by_key, problems


def content(item):
    """What a record says, wherever it stands."""
    return item._replace(offset=None) if isinstance(item, Record) else item


def compare_sets(what, expected, found, compare_one):
    for key in expected.keys() - found.keys():
        yield f"{what}: {key} is missing"
    for key in found.keys() - expected.keys():
        yield f"{what}: {key} should not be there"
    for key in sorted(expected.keys() & found.keys(), key=str):
        yield from compare_one(f"{what} {key}", expected[key], found[key])


class Check:
    def __init__(self, given):
        self.given = given
        self.source, self.partitions = read_topic(topic_name("trades"))
        self.by_place = {(r.partition, r.offset): r for r in self.source}
        home = lambda key: home_of(key, self.partitions)  # noqa: E731
        judged = oracle.replay(map(entry_of, self.source), self.partitions, home)
        self.judged = judged
        self.verdicts = [verdict for one in judged.values() for verdict in one.verdicts]
        self.bars = {key: bar for one in judged.values() for key, bar in one.final_bars().items()}
        self.counted = Counter(v.disposition for v in self.verdicts)
        self.counted.update(("reason " + v.reason) for v in self.verdicts if v.reason)
        self.counted.update(("bar " + bar["state"]) for bar in self.bars.values())
        self.counted["control"] = sum(len(one.controls) for one in judged.values())

    # Topics.

    def check_topics(self):
        yield from self.check_silver_topic()
        yield from self.check_late_topic()
        yield from self.check_rejected_topic()
        yield from self.check_bars_topic()
        yield from self.check_changelog()

    def decoded(self, which, schema):
        records, partitions = read_topic(topic_name(which))
        for record in records:
            value = SCHEMA.decode(record.value, schema)
            if record.key != value["symbol"].encode() or record.partition != home_of(record.key, partitions):
                raise SystemExit(f"{which}: a record of {value['symbol']} has key {record.key} in {record.partition}")
            yield value

    def expected_trades(self, *dispositions):
        chosen = [v for v in self.verdicts if v.disposition in dispositions]
        return {(v.entry.trade["connection"], v.entry.trade["seq"]): v for v in chosen}

    def keyed(self, what, items, key):
        """Of a topic, by key."""
        items = list(items)
        found, twice = keyed(what, items, key, self.given.repeats)
        self.counted["repeats"] += len(items) - len(found)
        return found, twice

    def check_silver_topic(self):
        found, twice = self.keyed("topic silver", self.decoded("silver", "Trade"), identity)
        yield from twice
        expected = self.expected_trades("merged", "late")
        yield from compare_sets(
            "topic silver", expected, found, lambda w, e, f: compare(w, TRADE_FIELDS, e.entry.trade, f)
        )

    def check_late_topic(self):
        found, twice = self.keyed("topic late", self.decoded("late", "LateTrade"), identity)
        yield from twice

        def compare_late(where, verdict, value):
            yield from compare(where, TRADE_FIELDS, verdict.entry.trade, value)
            more = late_fields(verdict) | {
                "source_partition": verdict.entry.partition,
                "source_offset": verdict.entry.offset,
                "window_start": window_start(verdict),
                "window_state": verdict.window_state,
            }
            yield from compare(where, more, more, value)

        yield from compare_sets("topic late", self.expected_trades("late"), found, compare_late)

    def check_rejected_topic(self):
        records, _ = read_topic(topic_name("rejected"))
        from_stream = [r for r in records if "offset" in r.headers]
        from_producer = [r for r in records if "offset" not in r.headers]
        place = lambda r: (int(r.headers["partition"]), int(r.headers["offset"]))  # noqa: E731
        found, twice = self.keyed("topic rejected", from_stream, place)
        yield from twice
        rejected = [v for v in self.verdicts if v.disposition == "rejected"]
        expected = {(v.entry.partition, v.entry.offset): v for v in rejected}

        def compare_raw(where, verdict, record):
            original = self.by_place[verdict.entry.partition, verdict.entry.offset]
            if record.headers.get("reason", b"").decode() != verdict.reason:
                yield f"{where}: reason {record.headers.get('reason')}, the oracle says {verdict.reason}"
            if record.headers.get("topic", b"").decode() != topic_name("trades"):
                yield f"{where}: header topic is {record.headers.get('topic')}"
            if (record.key or None, record.value) != (original.key or None, original.value):
                yield f"{where}: key and bytes are not the record's own"

        yield from compare_sets("topic rejected", expected, found, compare_raw)
        for record in from_producer:
            self.counted["rejected by the producer"] += 1
            reason = record.headers.get("reason", b"").decode()
            known = reason in ("malformed_frame", "malformed_element")
            if not known or record.key is not None or not {"connection", "frame"} <= record.headers.keys():
                yield f"topic rejected: a record of the producer has key {record.key}, headers {record.headers}"

    def check_bars_topic(self):
        found = defaultdict(list)
        for value in self.decoded("bars", "Bar"):
            bar = bar_of_value(value)
            found[bar["symbol"], bar["interval"], bar["window_start"]].append(bar)
        if self.given.repeats:
            found = defaultdict(list, {key: self.without_repeats(bars) for key, bars in found.items()})
        expected = defaultdict(list)
        for one in self.judged.values():
            for bar in one.emissions:
                expected[bar["symbol"], bar["interval"], bar["window_start"]].append(bar)
        self.counted["bars emitted"] = sum(map(len, expected.values()))
        for key, wanted in expected.items():
            final = [bar for bar in found[key] if bar["state"] != "provisional"]
            revisions = ([b["revision"] for b in wanted], [b["revision"] for b in final])
            if revisions[0] != revisions[1]:
                yield f"topic bars {key}: revisions {revisions[1]}, the oracle says {revisions[0]}"
                continue
            for bar, value in zip(wanted, final):
                yield from compare_bar(f"topic bars {key} revision {bar['revision']}", bar, value)
        for key in found.keys() - self.bars.keys():
            yield f"topic bars: {key} should not be there"
        if self.given.drained:
            for key, bar in self.bars.items():
                yield from compare_bar(f"topic bars {key}, last record", bar, (found[key] or [{}])[-1])

    def without_repeats(self, bars):
        """As a careful reader takes them: by revision, each content once."""
        once = []
        for bar in sorted(bars, key=lambda bar: (bar["generation"], bar["revision"])):
            if bar not in once:
                once.append(bar)
        self.counted["repeats"] += len(bars) - len(once)
        return once

    def check_changelog(self):
        """The processor's own books: offsets, watermark and the law of conservation."""
        records, _ = read_topic(topic_name("changelog"))
        books = {r.partition: r.value for r in records if r.key == b"meta" and r.value is not None}
        for number, one in self.judged.items():
            dispositions = Counter(v.disposition for v in one.verdicts)
            if number not in books:
                if one.verdicts or one.controls:
                    yield f"changelog: partition {number} has no meta record"
                continue
            book = SCHEMA.decode(books[number], "PartitionState")
            last = max(r.offset for r in self.source if r.partition == number)
            expected = {
                **{name: dispositions[name] for name in ("merged", "duplicate", "rejected", "late")},
                "control": len(one.controls),
                "consumed": len(one.controls) + len(one.verdicts),
                "watermark": one.watermark,
                "next_offset": last + 1,
            }
            if book["next_offset"] > last + 1:
                # Past the last record there may be markers of transactions.
                expected.pop("next_offset")
            yield from compare(f"changelog, partition {number}", expected, expected, book)

    # Tables.

    def check_tables(self):
        cluster, session = tables.connect()
        try:
            yield from tables.wrong_definitions(session)
            silver = tables.rows(session, "trades_silver", "price")
            bronze = tables.rows(session, "trades_bronze", "price")
            yield from self.check_trades("trades_silver", silver, self.expected_trades("merged", "late"))
            yield from self.check_trades("trades_bronze", bronze, self.expected_bronze())
            gold = {i: tables.rows(session, f"trades_gold_{i}", "volume_exact") for i in oracle.INTERVALS}
            for interval in oracle.INTERVALS:
                yield from self.check_gold(interval, gold[interval])
            yield from self.check_revisions(tables.rows(session, "bar_revisions", "volume_exact"))
            yield from self.check_gaps(tables.rows(session, "feed_gaps", "lost_records"))
            if self.given.drained:
                yield from self.check_conservation(gold, silver)
            yield from self.check_small_tables(session)
        finally:
            cluster.shutdown()

    def expected_bronze(self):
        """Every decoded element; of two with one identity the first."""
        expected = {}
        for verdict in self.verdicts:
            if verdict.entry.trade is not None:
                expected.setdefault(identity(verdict.entry.trade), verdict)
        return expected

    def check_trades(self, table, found, expected):
        by_identity, twice = keyed(table, found, identity)
        yield from twice
        yield from compare_sets(table, expected, by_identity, compare_trade_row)
        yield from tables.wrong_lives(table, found, tables.trade_age, self.given.since)

    def check_gold(self, interval, found):
        table = f"trades_gold_{interval}"
        expected = {key: bar for key, bar in self.bars.items() if key[1] == interval}
        by_key, twice = keyed(table, found, lambda row: (row["symbol"], interval, row["ts"]))
        yield from twice
        if not self.given.drained:
            # A sample of an open window may be up to a second old.
            expected = {key: bar for key, bar in expected.items() if bar["state"] != "provisional"}
            by_key = {key: row for key, row in by_key.items() if key in expected}

        def compare_row(where, bar, row):
            yield from compare_bar(where, bar, tables.bar_of_row(row, interval))
            written = row["ts"] * 1000 + row["generation"] * 10**9 + row["revision"]
            if row["written"] != written:
                yield f"{where}: write timestamp {row['written']}, wanted {written}"

        yield from compare_sets(table, expected, by_key, compare_row)
        yield from tables.wrong_lives(table, found, tables.bar_age, self.given.since)

    def check_revisions(self, found):
        """The history: what changed after its closing, whole, each with why."""
        key = lambda row: (row["symbol"], row["interval"], row["ts"], row["generation"], row["revision"])  # noqa: E731
        by_key, twice = keyed("bar_revisions", found, key)
        yield from twice
        windows = [window for one in self.judged.values() for window in one.windows.values()]
        told = [(why, bar) for window in windows for why, bar in window.history]
        self.counted.update("revision " + why for why, _ in told)
        expected = {(*oracle.named(bar), bar["generation"], bar["revision"]): (why, bar) for why, bar in told}

        def compare_one(where, pair, row):
            why, bar = pair
            yield from compare_bar(where, bar, tables.bar_of_row(row, bar["interval"]))
            yield from compare(where, ["why"], {"why": why}, row)

        yield from compare_sets("bar_revisions", expected, by_key, compare_one)

    def check_gaps(self, found):
        key = lambda row: (row["symbol"], row["gap_start"], row["connection"], row["cause"])  # noqa: E731
        by_key, twice = keyed("feed_gaps", found, key)
        yield from twice
        expected = {}
        for one in self.judged.values():
            for name, (end, following, lost) in one.story.gap_rows.items():
                self.counted["gap " + name[3]] += 1
                length = None if end is None else end - name[1]
                expected[name] = {"gap_end": end, "gap_ms": length, "next_connection": following, "lost_records": lost}
        compare_one = lambda where, gap, row: compare(where, gap, gap, row)  # noqa: E731
        yield from compare_sets("feed_gaps", expected, by_key, compare_one)

    def check_conservation(self, gold, silver):
        """Nothing vanishes, symbol by symbol: from what was found alone."""
        held = defaultdict(lambda: defaultdict(Decimal))
        for row in silver:
            volume, of_symbol = exact(row["volume"]), held[row["symbol"]]
            of_symbol["silver"] += volume
            if row["disposition"] == "late":
                of_symbol["late"] += volume
            elif "volume" not in updates(row):
                of_symbol["without right"] += volume
        for interval, rows in gold.items():
            for row in rows:
                held[row["symbol"]][interval] += Decimal(row["volume_exact"])
        for symbol, of in held.items():
            for interval in gold:
                if of[interval] + of["without right"] + of["late"] != of["silver"]:
                    yield f"volume of {symbol}: {interval} bars and the rest are not silver: {dict(of)}"

    def check_small_tables(self, session):
        known = {row["symbol"] for row in session.execute("SELECT symbol FROM symbols")}
        for symbol in {key[0] for key in self.bars} - known:
            yield f"symbols: {symbol} is missing"
        stored = session.execute("SELECT log_partition, connection, seq, kind FROM feed_events")
        found = {(row["log_partition"], row["connection"], row["seq"]): row["kind"] for row in stored}
        events = [(n, entry.event) for n, one in self.judged.items() for entry in one.controls]
        expected = {(n, event["connection"], event["seq"]): event["kind"] for n, event in events}
        if expected != found:
            yield f"feed_events: {len(found)} rows, wanted {len(expected)}; first {sorted(set(expected) ^ set(found))[:3]}"

    # What the test itself wanted to see.

    def check_wishes(self):
        if self.given.bad:
            wanted = json.load(open(self.given.bad))["bad"]
            verdicts = {(v.entry.partition, v.entry.offset): v for v in self.verdicts}
            for one in wanted:
                verdict = verdicts[one["partition"], one["offset"]]
                if (verdict.disposition, verdict.reason) != ("rejected", one["reason"]):
                    yield f"{one}: the oracle says {verdict.disposition} {verdict.reason}"
        for name in filter(None, self.given.expect.split(",")):
            if not self.counted[name]:
                yield f"the test's own data has no '{name}': {dict(self.counted)}"
        if self.given.repeats and not self.counted["repeats"]:
            yield "the topics hold no repeat"
        if self.given.frames:
            yield from self.check_producer(json.load(open(self.given.frames + ".expected")))
        marks = [one.watermark for one in self.judged.values() if one.verdicts]
        if self.given.watermark_past and min(marks) <= self.given.watermark_past:
            yield f"the watermarks {marks} stopped before {self.given.watermark_past}"


    def check_producer(self, expected):
        """What the one connection of a producer made of the recording."""
        trades = [v.entry.trade for v in self.verdicts if v.entry.trade is not None]
        names = ("symbol", "price", "volume", "trade_time", "conditions")
        numbered = [[trade[name] for name in names] for trade in sorted(trades, key=identity)]
        if len(numbered) != len(expected["numbered"]):
            yield f"the producer numbered {len(numbered)} trades of {len(expected['numbered'])}"
        for at, (wanted, found) in enumerate(zip(expected["numbered"], numbered)):
            if wanted != found:
                yield f"the producer's trade {at} is {found}, the recording says {wanted}"
                return
        diverted = self.counted["rejected by the producer"]
        if diverted != expected["diverted"]:
            yield f"the producer diverted {diverted} of {expected['diverted']} messages"


def identity(trade):
    return trade["connection"], trade["seq"]


def late_fields(verdict):
    time_ms = verdict.entry.trade["trade_time"]
    return {"watermark": verdict.watermark, "late_by_ms": verdict.watermark - time_ms}


def window_start(verdict):
    """Of the shortest window that the trade belongs to."""
    grain = min(oracle.INTERVALS.values())
    return verdict.entry.trade["trade_time"] // grain * grain


def compare_bar(where, expected, found):
    yield from compare(where, BAR_FIELDS + ["vwap"], expected, found)


def bar_of_value(value):
    excluded = {one["reason"]: (Decimal(one["volume_exact"]), one["count"]) for one in value["excluded"]}
    return {**value, "volume_exact": Decimal(value["volume_exact"]), "excluded": excluded}


def updates(row):
    """What the row says that its trade may change, as a set of words."""
    words = set((row["updates"] or "").split(",")) - {""}
    return {"last", "high_low", "volume"} if words == {"all"} else words


def compare_trade_row(where, verdict, row):
    trade, codes = verdict.entry.trade, verdict.entry.trade["conditions"]
    expected = {
        **{name: trade[name] for name in ("symbol", "price", "volume")},
        "ts": trade["trade_time"],
        "bucket": max(min(trade["trade_time"] // 600_000, 2**31 - 1), -(2**31)),
        "received_at": trade["received_at"] // 1000,
        "conditions": None if codes is None else ",".join(codes),
        "disposition": verdict.disposition,
        "reason": verdict.reason or None,
        "log_partition": verdict.entry.partition,
        "log_offset": verdict.entry.offset,
        # A repeat has the key of what it repeats, which must win.
        "written": trade["received_at"] - (verdict.disposition == "duplicate"),
    }
    if verdict.rights is not None:
        row = {**row, "rights": updates(row)}
        expected["rights"] = {
            name
            for name, holds in (
                ("last", verdict.rights.last != "never"),
                ("high_low", verdict.rights.high_low),
                ("volume", verdict.rights.volume),
            )
            if holds
        }
    if verdict.disposition == "late":
        expected |= late_fields(verdict)
        expected |= {"late_window_start": window_start(verdict), "late_window_state": verdict.window_state}
    yield from compare(where, expected, expected, {**row, "reason": row["reason"] or None})


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--drained", action="store_true", help="open windows were written too")
    arguments.add_argument("--topics-only", action="store_true", help="the stream had no store")
    arguments.add_argument("--repeats", action="store_true", help="topics may hold a record more than once")
    arguments.add_argument("--since", type=float, default=time.time() - 600, help="when the run began")
    arguments.add_argument("--bad", help="file of produce.py's output")
    arguments.add_argument("--frames", help="the recording, if one connection replayed it whole")
    arguments.add_argument("--expect", default="", help="what the data must contain, by the names of the counts")
    arguments.add_argument("--watermark-past", type=int, help="every watermark must be beyond it, ms")
    given = arguments.parse_args()
    check = Check(given)
    problems = [*check.check_topics()]
    if not given.topics_only:
        problems += check.check_tables()
    problems += check.check_wishes()
    print(json.dumps(check.counted))
    for problem in problems[:SHOWN]:
        print(problem)
    if len(problems) > SHOWN:
        print(f"… and {len(problems) - SHOWN} more")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
