"""Writes the frames of one made-up day of one symbol, as a feed sends them, for `ticksmith verify`.

    days.py FILE --kind stock|etf|crypto|currency --day 2024-03-11 [--trades N] [--seed N] [--beside SYMBOL]

A stock has 45 % odd lots, every sale condition there is and some that are not, auctions, Form-T before and after the
regular session, and prints that come late or out of sequence. Odd lots and special sales are priced off the market, so
that a wrong reading of a code shows. Prints as JSON what was made.
"""

import argparse
import collections
import gzip
import json
import random
from datetime import date, datetime, time, timezone
from zoneinfo import ZoneInfo

import market_days

NEW_YORK = ZoneInfo("America/New_York")
SYMBOLS = {"stock": "AAPL", "etf": "SPY", "crypto": "BINANCE:ETHUSDT", "currency": "OANDA:EUR_USD"}
TRADES = {"stock": 30_000, "etf": 500_000, "crypto": 30_000, "currency": 30_000}
START_PRICE = {"stock": 171.0, "etf": 512.0, "crypto": 3123.17, "currency": 1.08451}

# Codes beside the frequent ones, by how often they come among a thousand trades.
RARE = {
    "37": 4, "32": 3, "3": 3, "30": 3, "4": 2, "14": 2, "21": 1.5, "9": 1, "10": 1, "25": 1, "7": 1, "28": 1, "24": 2,
    "5": 0.7, "17": 0.7, "22": 0.7, "26": 0.7, "27": 0.7, "38": 0.7, "11": 0.7, "40": 0.7, "39": 0.7, "2": 0.7, "6": 0.7,
    "13": 0.7, "15": 0.7, "23": 0.7, "29": 0.7, "31": 0.7, "33": 0.7, "34": 0.7,
    "0": 0.3, "42": 0.3, "99": 0.3, "x": 0.3, "": 0.3, "-1": 0.3,
}  # fmt: skip
# So many in the thin hours that some windows are set by them alone.
CONDITIONAL = ["9", "21", "30", "32"]
SETTING = ["2", "4", "6", "7", "13", "14", "15", "18", "19", "23", "28", "29", "31", "33", "34", "35", "36"]
UNREADABLE = [
    '{"data":[{"p":1,"s":"%s","t":1628238530221,"v":43}],"type":"trade"',
    '{"dta":[{"p":1,"s":"%s","t":1628238530221,"v":43}],"type":"trade"}',
    '{"data":[{"p":"1","s":"%s","t":1628238530221,"v":43}],"type":"trade"}',
    '{"type":"trade","data":[{"s":"%s","p":1500,"v":1}]}',
]
UNBELIEVABLE = [{"p": 0}, {"p": -3.5}, {"v": -1}, {"v": 1e-19}, {"p": 1e300}, {"t": 0}]


def at(day, hour, minute=0):
    return int(datetime.combine(day, time(hour, minute), NEW_YORK).timestamp() * 1000)


class Stock:
    """Pre-market from four, an opening auction, a busy morning and evening, a closing auction, the hours after it."""

    def __init__(self, kind, day, count, chance):
        self.chance, self.count = chance, count
        self.price = START_PRICE[kind]
        early = market_days.special_days(day.year).get(day) == "early"
        close, late_close = (13, 17) if early else (16, 20)
        self.open_ms, self.close_ms = at(day, 9, 30), at(day, close)
        self.pre_ms, self.post_ms = at(day, 4), at(day, late_close)
        self.codes, self.weights = list(RARE), list(RARE.values())
        self.rare_rate = sum(self.weights) / 1000

    def trades(self):
        times = sorted(self.a_time() for _ in range(self.count))
        auctions = [(self.open_ms + 412, True), (self.close_ms + 87, False)]
        for time_ms in times:
            while auctions and time_ms >= auctions[0][0]:
                yield from self.auction(*auctions.pop(0))
            yield self.trade(time_ms)

    def a_time(self):
        where = self.chance.random()
        if where < 0.012:  # so thin that some windows have odd lots only
            return self.chance.randrange(self.pre_ms, self.open_ms)
        if where < 0.022:
            return self.chance.randrange(self.close_ms, self.post_ms)
        # A U over the regular session, in bursts of the same millisecond.
        share = self.chance.betavariate(0.6, 0.7)
        return self.open_ms + int(share * (self.close_ms - self.open_ms - 1)) // 7 * 7

    def auction(self, time_ms, is_open):
        self.walk()
        big = self.chance.randrange(200, 900) * 1000
        print_code, trade_code, official = ("19", "18", "20") if is_open else ("36", "35", "16")
        yield self.made(time_ms, self.price, big, ["1", print_code])
        yield self.made(time_ms + 3, self.price, big, ["1", trade_code, "41"])
        yield self.made(time_ms + 3, self.price, big, ["1", official])

    def trade(self, time_ms):
        chance = self.chance
        self.walk()
        is_odd = chance.random() < 0.45
        volume = chance.randrange(1, 100) if is_odd else chance.choice([100, 100, 100, 200, 300, 500, 1234, 10_000])
        codes = ["8"] if chance.random() < 0.35 else []
        is_off = is_odd
        if not self.open_ms <= time_ms < self.close_ms:
            codes.append("24")
            if chance.random() < 0.4:
                codes.append(chance.choice(chance.choice([CONDITIONAL, SETTING])))
        if is_odd:
            codes.append("12")
        for _ in range(2 if chance.random() < 0.05 else 1):
            if chance.random() < self.rare_rate:
                codes += chance.choices(self.codes, self.weights)
                is_off = True
        if chance.random() < 0.0008:
            volume = 0
            is_off = True
        price = self.price * (1 + chance.gauss(0, 0.002)) if is_off else self.price
        return self.made(time_ms, price, volume, spelled(chance, codes))

    def walk(self):
        self.price *= 1 + self.chance.gauss(0, 0.00015)

    def made(self, time_ms, price, volume, codes):
        places = 4 if self.chance.random() < 0.1 else 2
        return {"c": codes, "p": shortest(price, places), "t": time_ms, "v": volume}


class RoundTheClock:
    """Crypto with eight decimals and no codes, or a currency without volume; now and then a price update."""

    def __init__(self, kind, day, count, chance):
        self.kind, self.count, self.chance = kind, count, chance
        self.price = START_PRICE[kind]
        self.start_ms = int(datetime.combine(day, time(0), timezone.utc).timestamp() * 1000)

    def trades(self):
        chance = self.chance
        for time_ms in sorted(self.start_ms + chance.randrange(86_400_000) for _ in range(self.count)):
            self.price *= 1 + chance.gauss(0, 0.0001)
            volume = 0 if self.kind == "currency" or chance.random() < 0.01 else round(chance.random() ** 4 * 9, 8)
            places = 5 if self.kind == "currency" else 2
            # A code where there is no tape says nothing.
            codes = ["12"] if chance.random() < 0.01 else chance.choice([None, None, None, []])
            yield {"c": codes, "p": shortest(self.price, places), "t": time_ms, "v": volume}


def shortest(number, places):
    """As the feed writes numbers: without a needless point."""
    rounded = round(number, places)
    return int(rounded) if rounded == int(rounded) else rounded


def spelled(chance, codes):
    """One of the feed's encodings: with 1 for a regular sale and the exempt flag, or without."""
    codes = ["1"] + codes if chance.random() < 0.8 else codes
    codes = codes + ["41"] if chance.random() < 0.04 else codes
    return None if not codes and chance.random() < 0.3 else codes


def delay_ms(chance, trade, passed_ms):
    kind = chance.random()
    if kind < 0.002 and passed_ms > 3_600_000:
        return chance.randrange(610_000, 2_400_000)  # mostly too late
    if kind < 0.006 or (trade["c"] and "30" in trade["c"]):
        return chance.randrange(10_000, 600_000)
    if kind < 0.05:
        return chance.randrange(1_000, 10_000)  # what a reporting facility is allowed
    return chance.randrange(0, 300)


def in_order_of_arrival(trades, chance):
    first_ms = trades[0]["t"]
    arrivals = [(one["t"] + delay_ms(chance, one, one["t"] - first_ms), one) for one in trades]
    return [one for _, one in sorted(arrivals, key=lambda arrival: arrival[0])]


def second_encoding(elements):
    again = [dict(one) for one in elements]
    for one in again:
        codes = [code for code in one.get("c") or [] if code not in ("1", "41")]
        one["c"] = codes if "1" in (one.get("c") or []) else ["1"] + codes
    return again


def frame(elements):
    return json.dumps({"data": elements, "type": "trade"}, separators=(",", ":"))


def frames(trades, symbol, chance, beside):
    place = 0
    while place < len(trades):
        size = chance.choice([1, 1, 2, 3, 4, 6, 8, 10])
        elements = [{"c": one["c"], "p": one["p"], "s": symbol, "t": one["t"], "v": one["v"]}
                    for one in trades[place : place + size]]  # fmt: skip
        place += size
        kind = chance.random()
        if kind < 0.01 and len(elements) >= 2:
            if kind < 0.002:
                elements = [dict(one) for one in elements[:2] for _ in range(3)]  # equal prints among them
            elements += second_encoding(elements)
        elif kind < 0.012:
            elements.insert(chance.randrange(len(elements) + 1), elements[0] | chance.choice(UNBELIEVABLE))
        elif kind < 0.014:
            elements.append(dict(elements[-1]))  # two genuinely equal trades
        elif kind < 0.02 and beside:
            elements.insert(0, elements[0] | {"s": beside, "t": elements[0]["t"] + chance.randrange(-900_000, 900_000)})
        for one in elements:
            if one["c"] is None and chance.random() < 0.3:
                del one["c"]
        yield frame(elements)
        if kind > 0.995:
            yield frame(elements)  # a whole frame again
        if 0.03 < kind < 0.031:
            yield chance.choice(UNREADABLE) % symbol
        if 0.04 < kind < 0.041:
            yield '{"type":"ping"}'


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("file", help="ending in .gz: compressed")
    arguments.add_argument("--kind", choices=SYMBOLS, required=True)
    arguments.add_argument("--day", type=date.fromisoformat, required=True)
    arguments.add_argument("--trades", type=int)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--beside", help="now and then a trade of this symbol, whose clock is wrong")
    given = arguments.parse_args()
    chance = random.Random(f"{given.kind} {given.day} {given.seed}")
    maker = Stock if given.kind in ("stock", "etf") else RoundTheClock
    day = maker(given.kind, given.day, given.trades or TRADES[given.kind], chance)
    trades = in_order_of_arrival(list(day.trades()), chance)
    opened = gzip.open if given.file.endswith(".gz") else open
    with opened(given.file, "wt") as out:
        for line in frames(trades, SYMBOLS[given.kind], chance, given.beside):
            out.write(line + "\n")
    codes = collections.Counter(code for one in trades for code in set(one["c"] or []))
    summary = {"symbol": SYMBOLS[given.kind], "trades": len(trades), "codes": codes}
    print(json.dumps(summary | {"odd_lots": codes["12"] / len(trades)}))


if __name__ == "__main__":
    main()
