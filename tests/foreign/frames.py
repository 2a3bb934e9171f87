"""Writes frames as a feed sends them, for `ticksmith simulate --frames`: repeats, second encodings, pings and
malformed messages included. Prints as JSON how many, of which symbols, and leaves in FILE.expected what of them is to be
numbered, in that order, and how many messages are to be diverted."""

import argparse
import gzip
import json
import random

import market

BAD_FRAMES = [
    '{"data":[{"p":146.76,"s":"AAPL","t":1628238530221,"v":43}],"type":"trade"',
    '{"dta":[{"p":146.76,"s":"AAPL","t":1628238530221,"v":43}],"type":"trade"}',
    '{"type":"trade","data":[{"s":"AAPL","p":1500,"v":1}]}',
    '{"type":"trade","data":[{"s":"MSFT","p":"12.5","v":1,"t":1628238530221}]}',
]
# Price, volume and time of trades that decode and that nobody can believe.
UNBELIEVABLE = [
    (0, 100, None),
    (-12.5, 100, None),
    (100.5, -1, None),
    (100.5, 1e-19, None),
    (1e300, 1, None),
    (100.5, 1, 0),
    (100.5, 1, 4_102_444_800_000),
]


def element(trade, chance):
    out = {"p": trade["price"], "s": trade["symbol"], "t": trade["trade_time"], "v": trade["volume"]}
    if trade["conditions"] is not None or chance.random() < 0.5:
        out["c"] = trade["conditions"]
    return out


def frame(elements):
    return json.dumps({"data": elements, "type": "trade"}, separators=(",", ":"))


def second_encoding(elements):
    """The same prints again, as the feed's other encoder spells their codes."""
    again = [dict(one) for one in elements]
    for one in again:
        codes = [code for code in one.get("c") or [] if code not in ("1", "41")]
        one["c"] = codes + ["41"] if "1" in (one.get("c") or []) else ["1"] + codes
    return again


def frames(count, base_ms, seed):
    """Lines, each with what a producer must make of it: the elements to number, and whether to divert something."""
    chance = random.Random(seed + 1)
    tape = list(market.trades(count, base_ms, seed))
    bad = iter(UNBELIEVABLE)
    at = 0
    while at < len(tape):
        size = chance.choice([1, 1, 2, 3, 4, 6])
        elements = [element(trade, chance) for trade in tape[at : at + size]]
        at += size
        kind = chance.random()
        believed = list(elements)
        if kind < 0.02 and len(elements) >= 2:
            elements += second_encoding(elements)
        values = next(bad, None) if kind > 0.97 else None
        if values:
            price, volume, time = values
            time = elements[0]["t"] if time is None else time
            elements.append({"p": price, "s": "AAPL", "t": time, "v": volume})
            believed.append(elements[-1])
        yield frame(elements), believed, 0
        if 0.02 <= kind < 0.05:
            # Three elements or more are a repeat of the feed, fewer are genuine prints.
            for _ in range(chance.choice([1, 2])):
                yield frame(elements), believed if len(elements) < 3 else [], 0
        if 0.05 <= kind < 0.06:
            yield chance.choice(BAD_FRAMES), [], 1
        if 0.06 <= kind < 0.065:
            yield '{"type":"ping"}', [], 0


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("file", help="ending in .gz: compressed")
    arguments.add_argument("--trades", type=int, default=5_000)
    arguments.add_argument("--base-ms", type=int, required=True)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    opened = gzip.open if given.file.endswith(".gz") else open
    written, expected, diverted = 0, [], 0
    with opened(given.file, "wt") as out:
        for line, believed, bad in frames(given.trades, given.base_ms, given.seed):
            out.write(line + "\n")
            written += 1
            expected += [[e["s"], e["p"], e["v"], e["t"], e.get("c")] for e in believed]
            diverted += bad
    with open(given.file + ".expected", "w") as out:
        json.dump({"numbered": expected, "diverted": diverted}, out)
    print(json.dumps({"frames": written, "symbols": market.SYMBOLS}))


if __name__ == "__main__":
    main()
