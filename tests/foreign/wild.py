"""Two feeds that connect, fall silent, die, lose records, and take symbols over from each other: what honest producers
write of it, into the trades topic. Feed time begins at --base-ms; each feed has a clock of its own."""

import argparse
import random

from produce import Log
from records import FEED_EVENT_HEADER, SCHEMA

SYMBOLS = ["BINANCE:BTCUSDT", "BINANCE:ETHUSDT", "KRAKEN:XBTUSD", "AAPL", "MSFT"]
CLOCKS_MS = {"wild/0": 7_000, "wild/1": -2_500}
ACTIONS = {
    "trade": 60, "ping": 14, "heartbeat": 20, "connect": 4, "end": 2, "kill": 1, "subscribe": 2,
    "overflow": 1, "decode_loss": 1, "hush": 3,
}  # fmt: skip


class Connection:
    def __init__(self, number, symbols, now_ms):
        self.number, self.symbols, self.seq = number, symbols, 0
        self.heard_ms, self.is_dated = now_ms, False
        # Nothing comes before this but the producer's own heartbeats.
        self.quiet_until_ms = now_ms


class World:
    def __init__(self, log, base_ms, seed):
        self.log, self.now_ms, self.chance = log, base_ms, random.Random(seed)
        self.open, self.number = {}, 1_700_000_000_000_000 + seed * 1_000_000

    def act(self):
        self.now_ms += int(self.chance.expovariate(1 / 800)) + 1
        if self.chance.random() < 0.004:
            self.now_ms += self.chance.randrange(200_000)
        if self.chance.random() < 0.0004:
            # Longer than any window is kept.
            self.now_ms += self.chance.randrange(4_200_000, 9_000_000)
        feed = self.chance.choice(list(CLOCKS_MS))
        action = self.chance.choices(list(ACTIONS), ACTIONS.values())[0]
        if action == "connect":
            self.connect(feed)
        elif feed in self.open:
            connection = self.open[feed]
            if action not in ("trade", "ping", "decode_loss") or self.now_ms >= connection.quiet_until_ms:
                getattr(self, action)(feed, connection)

    def some(self):
        return self.chance.sample(SYMBOLS, self.chance.randrange(1, len(SYMBOLS) + 1))

    def connect(self, feed):
        self.number += self.chance.randrange(1, 1_000)
        self.open[feed] = Connection(self.number, self.some(), self.now_ms)
        self.tell(feed, "connected")
        self.subscribe(feed, self.open[feed])

    def subscribe(self, feed, connection):
        self.tell(feed, "subscribed", symbols=connection.symbols)

    def hush(self, feed, connection):
        connection.quiet_until_ms = self.now_ms + self.chance.randrange(90_000)

    def ping(self, feed, connection):
        connection.heard_ms = self.now_ms

    def heartbeat(self, feed, connection):
        self.tell(feed, "heartbeat")

    def end(self, feed, connection):
        self.tell(feed, self.chance.choice(["disconnected", "silence", "released"]), detail="it ended")
        del self.open[feed]

    def kill(self, feed, connection):
        del self.open[feed]

    def overflow(self, feed, connection):
        self.tell(feed, "overflow", symbols=self.some(), lost_records=self.chance.randrange(1, 99))

    def decode_loss(self, feed, connection):
        connection.heard_ms = self.now_ms
        self.tell(feed, "decode_loss", symbols=self.chance.choice([[], self.some()]), lost_records=1)

    def trade(self, feed, connection):
        connection.heard_ms = self.now_ms
        connection.seq += 1
        symbol = self.chance.choice(connection.symbols)
        late = self.chance.choices([300, 20_000, 300_000, 900_000], [80, 15, 4, 1])[0]
        value = {
            "symbol": symbol,
            "price": self.chance.randrange(1, 9_000) / 100,
            "volume": self.chance.randrange(1, 5_000) / 1_000,
            "trade_time": self.now_ms - self.chance.randrange(late),
            "conditions": None,
            "connection": connection.number,
            "seq": connection.seq,
            "received_at": (self.now_ms + CLOCKS_MS[feed]) * 1_000,
            "feed": feed,
        }
        self.log.send(symbol.encode(), SCHEMA.encode("Trade", value))
        if not connection.is_dated:
            connection.is_dated = True
            self.tell(feed, "heartbeat")

    def tell(self, feed, kind, **changes):
        connection = self.open[feed]
        connection.seq += 1
        event = {
            "kind": kind,
            "connection": connection.number,
            "seq": connection.seq,
            "feed": feed,
            "at": (self.now_ms + CLOCKS_MS[feed]) * 1_000,
            "feed_time": self.now_ms if connection.is_dated else None,
            "confirmed_at": (connection.heard_ms + CLOCKS_MS[feed]) * 1_000,
            "confirmed_feed_time": connection.heard_ms if connection.is_dated else None,
            "symbols": [],
            "lost_records": 0,
            "detail": "",
            **changes,
        }
        headers = [(FEED_EVENT_HEADER, SCHEMA.encode("FeedEvent", event))]
        for partition in range(self.log.partitions):
            self.log.send(None, None, headers=headers, partition=partition)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--base-ms", type=int, required=True)
    arguments.add_argument("--actions", type=int, default=6_000)
    arguments.add_argument("--seed", type=int, required=True)
    given = arguments.parse_args()
    log = Log()
    world = World(log, given.base_ms, given.seed)
    for _ in range(given.actions):
        world.act()
    log.flush()


if __name__ == "__main__":
    main()
