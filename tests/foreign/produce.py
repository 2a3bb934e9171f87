"""A producer that has nothing to do with ticksmith: fastavro, confluent-kafka, Java's partitioner.

Writes trades to the trades topic; with --bad also everything that a stranger can get wrong, with --gap also feed events
of a connection that is away for 37 s in the middle. Prints as JSON where each bad record went and under what reason it
must be diverted.
"""

import argparse
import json
from collections import deque

from confluent_kafka import Producer

import market
from records import FEED_EVENT_HEADER, SCHEMA, home_of, setting, topic_name

FEED = "foreign/0"
FUTURE_MS = 3_600_000
GAP_FROM_MS, GAP_MS = 40 * 60_000 + 90_000, 37_000
HEARTBEAT_MS = 5_000


class Log:
    """The trades topic, with the offset of every record that was noted."""

    def __init__(self):
        self.name = topic_name("trades")
        self.producer = Producer(
            {
                "bootstrap.servers": setting("kafka", "bootstrap"),
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
            }
        )
        found = self.producer.list_topics(self.name, timeout=30).topics[self.name]
        self.partitions = len(found.partitions)
        self.noted, self.failures = [], []

    def send(self, key, value, reason=None, **more):
        def delivered(error, message):
            if error is not None:
                self.failures.append(str(error))
            elif reason:
                where = {"partition": message.partition(), "offset": message.offset()}
                self.noted.append({**where, "reason": reason})

        while True:
            try:
                self.producer.produce(self.name, key=key, value=value, on_delivery=delivered, **more)
                break
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)

    def flush(self):
        left = self.producer.flush(60)
        if left or self.failures:
            raise SystemExit(f"{left} records were not delivered: {self.failures[:3]}")


class Numbering:
    """Numbers what it encodes, as a producer does at its socket."""

    def __init__(self, connection):
        self.connection, self.seq = connection, 0

    def encode(self, trade, **changes):
        self.seq += 1
        whole = {
            **trade,
            "connection": self.connection,
            "seq": self.seq,
            "received_at": trade["trade_time"] * 1000 + 250_000,
            "feed": FEED,
            **changes,
        }
        return SCHEMA.encode("Trade", whole)


class Feed:
    """Two connections, one after the other, that tell of themselves in every partition."""

    def __init__(self, log, base_ms, connection):
        self.log, self.numbering = log, Numbering(connection - 1_000_000)
        self.away = range(base_ms + GAP_FROM_MS, base_ms + GAP_FROM_MS + GAP_MS)
        turns = [(base_ms, self.begin), (self.away.start, self.end), (self.away.stop, self.begin)]
        beats = range(base_ms + HEARTBEAT_MS, base_ms + market.SPAN_MS, HEARTBEAT_MS)
        told = [(at_ms, self.beat) for at_ms in beats if at_ms not in self.away]
        self.due = deque(sorted(turns + told, key=lambda one: one[0]))

    def pass_to(self, at_ms):
        """Tells what has happened by then."""
        while self.due and self.due[0][0] <= at_ms:
            due_ms, happens = self.due.popleft()
            happens(due_ms)

    def begin(self, at_ms):
        self.numbering = Numbering(self.numbering.connection + 1_000_000)
        self.tell("connected", at_ms, None)
        self.tell("subscribed", at_ms, None, symbols=market.SYMBOLS)
        self.beat(at_ms)

    def beat(self, at_ms):
        self.tell("heartbeat", at_ms, at_ms)

    def end(self, at_ms):
        self.beat(at_ms)
        self.tell("disconnected", at_ms, at_ms, detail="reset by peer")

    def tell(self, kind, at_ms, feed_time, **changes):
        self.numbering.seq += 1
        event = {
            "kind": kind,
            "connection": self.numbering.connection,
            "seq": self.numbering.seq,
            "feed": FEED,
            "at": at_ms * 1000,
            "feed_time": feed_time,
            "confirmed_at": at_ms * 1000,
            "confirmed_feed_time": feed_time,
            "symbols": [],
            "lost_records": 0,
            "detail": "",
            **changes,
        }
        headers = [(FEED_EVENT_HEADER, SCHEMA.encode("FeedEvent", event))]
        for partition in range(self.log.partitions):
            self.log.send(None, None, headers=headers, partition=partition)


def send_bad(log, numbering, trade):
    """One record for each way of being wrong, between good ones."""
    symbol = trade["symbol"]
    key = symbol.encode()
    good = lambda **changes: numbering.encode(trade, **changes)  # noqa: E731
    arrival_us = trade["trade_time"] * 1000
    home = home_of(key, log.partitions)
    far = trade["trade_time"] + 400 * 86_400_000
    log.send(key, b"{not avro}", "undecodable")
    log.send(key, b"", "undecodable")
    log.send(key, SCHEMA.encode("SymbolFeed", {"symbol": symbol, "spans": [], "losses": []}), "undecodable")
    log.send(key, bytes.fromhex("c301") + b"\x01" * 40, "undecodable")
    log.send(key, good()[:-3], "undecodable")
    log.send(None, None, "null_value")
    log.send(key, None, "null_value")
    log.send(None, None, "bad_event", headers=[(FEED_EVENT_HEADER, b"rubbish")])
    log.send(b"SOMEBODY", good(), "key_mismatch")
    log.send(None, good(), "key_mismatch")
    log.send(key, good(), "wrong_partition", partition=(home + 1) % log.partitions)
    log.send(b"", good(symbol=""), "symbol_empty")
    log.send(b"Z" * 65, good(symbol="Z" * 65), "symbol_too_long")
    log.send(key, good(price=-1.0), "price_not_positive")
    log.send(key, good(price=0.0), "price_not_positive")
    log.send(key, good(price=float("nan")), "price_not_finite")
    log.send(key, good(price=1e300), "price_out_of_range")
    log.send(key, good(volume=-1.0), "volume_negative")
    log.send(key, good(volume=float("inf")), "volume_not_finite")
    log.send(key, good(volume=1e-30), "volume_out_of_range")
    log.send(key, good(trade_time=far, received_at=arrival_us), "time_in_future")
    log.send(key, good(trade_time=2**62, received_at=arrival_us), "time_in_future")
    log.send(key, good(trade_time=1_000), "time_too_early")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--trades", type=int, default=3_000)
    arguments.add_argument("--base-ms", type=int, required=True)
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--connection", type=int, default=1_700_000_000_000_000)
    arguments.add_argument("--bad", action="store_true", help="also send what must be diverted")
    arguments.add_argument("--gap", action="store_true", help="also send feed events, with a gap of 37 s")
    arguments.add_argument("--again", type=int, default=0, help="send every Nth record twice")
    given = arguments.parse_args()
    log, numbering = Log(), Numbering(given.connection)
    feed = Feed(log, given.base_ms, given.connection) if given.gap else None
    for number, trade in enumerate(market.trades(given.trades, given.base_ms, given.seed)):
        if feed:
            now_ms = given.base_ms + number * market.SPAN_MS // given.trades
            feed.pass_to(now_ms)
            numbering = feed.numbering
            if now_ms in feed.away:
                continue
        value = numbering.encode(trade)
        for _ in range(2 if given.again and number % given.again == 0 else 1):
            log.send(trade["symbol"].encode(), value)
        if given.bad and number % 500 == 250:
            send_bad(log, numbering, trade)
    log.flush()
    print(json.dumps({"bad": log.noted}))


if __name__ == "__main__":
    main()
