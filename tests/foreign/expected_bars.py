"""The bars that recorded frames must become, computed the slow and plain way: whole day first, then window by window.

    expected_bars.py FRAMES DIRECTORY [--symbol S] [--drop-repeats]

Writes DIRECTORY/POLICY.INTERVAL.csv for every policy and interval, in the columns of `ticksmith verify`, and prints as
JSON what became of the trades. Standard library only; from the documented rules, not from ticksmith's code.
"""

import argparse
import csv
import decimal
import functools
import gzip
import json
import pathlib

import oracle
import tape

decimal.getcontext().prec = 60
INTERVALS = {"5m": 300_000, "1h": 3_600_000}
COLUMNS = ["window_start_epoch_s", "open", "high", "low", "close", "volume", "count"]
LEAST_REPEATED = 3


def read_elements(line):
    """The elements of a trade frame that can be read as trades, and how many cannot; nothing where it is no such frame."""
    try:
        frame = json.loads(line)
    except ValueError:
        return None, 1
    if not isinstance(frame, dict) or frame.get("type") != "trade":
        return None, int(not isinstance(frame, dict) or frame.get("type") != "ping")
    if not isinstance(frame.get("data"), list):
        return None, 1
    good = [one for one in frame["data"] if is_trade(one)]
    return good, len(frame["data"]) - len(good)


def is_trade(one):
    def has(name, kinds):
        return isinstance(one.get(name), kinds) and not isinstance(one.get(name), bool)

    return isinstance(one, dict) and has("s", str) and has("t", int) and has("p", (int, float)) and has("v", (int, float))


def is_same(one, other):
    return all(one[name] == other[name] for name in "stpv") and telling(one) == telling(other)


def telling(one):
    return [code for code in one.get("c") or [] if code not in ("1", "41")]


def without_second_encodings(elements):
    """A group of two or more in a row that stands in the frame before, differently spelled, is there once; where such
    groups overlap, the longer one is meant."""
    if len({(one["s"], one["t"], one["p"], one["v"]) for one in elements}) == len(elements):
        return elements
    places = range(len(elements))
    lengths = [max((repeat_length(elements, earlier, place) for earlier in range(place)), default=0) for place in places]
    kept, place = [], 0
    while place < len(elements):
        length = lengths[place]
        if length and max(lengths[place : place + length]) == length:
            place += length
        else:
            kept.append(elements[place])
            place += 1
    return kept


def repeat_length(elements, earlier, place):
    length = 0
    while earlier + length < place and place + length < len(elements):
        if not is_same(elements[earlier + length], elements[place + length]):
            break
        length += 1
    pairs = zip(elements[earlier : earlier + length], elements[place : place + length])
    is_respelled = any((one.get("c") or []) != (other.get("c") or []) for one, other in pairs)
    return length if length >= 2 and is_respelled else 0


def delivered(lines, drop_repeats, tally):
    """Every trade that counts as delivered, in order."""
    previous = None
    for line in lines:
        elements, malformed = read_elements(line)
        tally["malformed"] += malformed
        if elements is None:
            continue
        is_repeat = line == previous and len(elements) + malformed >= LEAST_REPEATED
        previous = line
        if is_repeat and drop_repeats:
            tally["repeats"] += 1
            continue
        kept = without_second_encodings(elements)
        tally["second_encodings"] += len(elements) - len(kept)
        yield from kept


def accepted(trades, symbol, tally):
    """(time, arrival, price, volume, codes) of what is neither rejected nor late."""
    newest = None
    for arrival, one in enumerate(trades):
        if one["s"] != symbol:
            continue
        tally["trades"] += 1
        price, volume, time = float(one["p"]), float(one["v"]), one["t"]
        if is_unbelievable(price, volume) or time < oracle.EARLIEST_MS:
            tally["rejected"] += 1
            continue
        if newest is not None and time < newest - oracle.OUT_OF_ORDERNESS_MS - oracle.ALLOWED_LATENESS_MS:
            tally["late"] += 1
        else:
            yield time, arrival, price, exact(volume), tuple(one.get("c") or ())
        newest = time if newest is None else max(newest, time)


exact = functools.cache(oracle.exact)


@functools.cache
def is_unbelievable(price, volume):
    seen = {"price": price, "volume": volume, "trade_time": oracle.EARLIEST_MS, "received_at": 0}
    return oracle.unbelievable(seen, None) is not None


def windows_of(trades, symbol, policy, length_ms):
    """What each window holds, by its start; `trades` by (time, arrival)."""
    windows = {}
    for trade in trades:
        rights = rights_of(symbol, trade[4], not trade[3], trade[0] // 60_000, policy)
        if rights.volume:
            windows.setdefault(trade[0] // length_ms * length_ms, []).append((trade, rights))
    return windows


@functools.cache
def rights_of(symbol, codes, has_no_volume, minute, policy):
    """Sessions begin and end on whole minutes."""
    return tape.rights_of(symbol, list(codes), 0 if has_no_volume else 1, minute * 60_000, policy)


def setting_last_of(members):
    by_full_right = [trade for trade, rights in members if rights.last == tape.ALWAYS]
    return by_full_right or [trade for trade, rights in members if rights.last == tape.IF_NO_OTHER]


def is_conditional(members):
    """Its open and close are set by trades that may do so only where there is no other."""
    return tape.ALWAYS not in {rights.last for _, rights in members} and bool(setting_last_of(members))


def bar_of(members):
    setting_last = setting_last_of(members)
    prices = [trade[2] for trade, rights in members if rights.high_low]
    return [
        setting_last[0][2] if setting_last else "",
        max(prices, default=""),
        min(prices, default=""),
        setting_last[-1][2] if setting_last else "",
        format(sum((trade[3] for trade, _ in members), decimal.Decimal(0)), "f"),
        len(members),
    ]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("frames")
    arguments.add_argument("directory", type=pathlib.Path)
    arguments.add_argument("--symbol", required=True)
    arguments.add_argument("--drop-repeats", action="store_true")
    given = arguments.parse_args()
    tally = dict.fromkeys(["trades", "late", "rejected", "malformed", "second_encodings", "repeats"], 0)
    opened = gzip.open if given.frames.endswith(".gz") else open
    with opened(given.frames, "rt") as file:
        lines = (line.rstrip("\n") for line in file)
        trades = sorted(accepted(delivered(lines, given.drop_repeats, tally), given.symbol, tally))
    tally |= {"volume_only": 0, "conditional": 0}
    for policy in tape.POLICIES:
        for interval, length_ms in INTERVALS.items():
            windows = windows_of(trades, given.symbol, policy, length_ms)
            bars = {start: bar_of(members) for start, members in sorted(windows.items())}
            tally["volume_only"] += sum(bar[0] == bar[1] == "" for bar in bars.values())
            tally["conditional"] += sum(map(is_conditional, windows.values()))
            with open(given.directory / f"{policy}.{interval}.csv", "w", newline="") as out:
                rows = csv.writer(out, lineterminator="\n")
                rows.writerow(COLUMNS)
                rows.writerows([start // 1000, *bar] for start, bar in bars.items())
    print(json.dumps(tally))


if __name__ == "__main__":
    main()
