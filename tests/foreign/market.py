"""A made-up tape for tests: stocks with sale conditions, crypto with eight decimals, currencies without volume; out of
order, sometimes by minutes, now and then by more than is allowed."""

import random

STOCKS = ["AAPL", "MSFT", "NVDA", "SPY", "TSLA"]
CRYPTO = {"BINANCE:BTCUSDT": "61234.55", "BINANCE:ETHUSDT": "3123.17", "COINBASE:SHIB-USD": "0.00002751"}
CURRENCIES = ["OANDA:EUR_USD", "OANDA:USD_JPY"]
OTHERS = ["COMEX:GC1!"]
SYMBOLS = STOCKS + list(CRYPTO) + CURRENCIES + OTHERS
# The second price update of a currency, the odd lot and the late print must all be frequent enough to matter.
CODES = (
    [None, [], ["1"], ["1", "8"], ["1", "12"], ["1", "8", "12"], ["1", "41"], ["14", "41"], ["1", "24", "12"]] * 6
    + [["1", "24"], ["30"], ["32"], ["9", "12"], ["3"], ["16"], ["20"], ["39"], ["25"], ["37"], ["38"], ["99"], ["x"]]
    + [["18"], ["35", "41"], ["3", "12"], ["24", "25"], ["21"]]
)
SPAN_MS = 105 * 60_000


def trades(count, base_ms, seed):
    """`count` trades as dicts, in order of arrival; the clock runs from base_ms over an hour and three quarters."""
    chance = random.Random(seed)
    for number in range(count):
        clock = base_ms + number * SPAN_MS // count
        yield one_trade(chance, clock - delay(chance, clock - base_ms))


def delay(chance, passed_ms):
    kind = chance.random()
    if kind < 0.012 and passed_ms > 45 * 60_000:
        return chance.randrange(11 * 60_000, 40 * 60_000)  # late
    if kind < 0.04 and passed_ms > 10 * 60_000:
        return chance.randrange(5_000, 9 * 60_000)  # a correction, mostly
    if kind < 0.5:
        return chance.randrange(0, 1_900)
    return 0


def one_trade(chance, time_ms):
    symbol = chance.choice(SYMBOLS)
    if symbol in STOCKS:
        price = chance.randrange(990_000, 1_010_000) / 10_000
        volume = chance.choice([1, 7, 50, 99, 100, 100, 250, 1000, 0, 12345])
        return trade(symbol, price, volume, time_ms, chance.choice(CODES))
    if symbol in CRYPTO:
        price = float(CRYPTO[symbol]) * (1 + chance.randrange(-50, 50) / 1e4)
        places = 8 if price < 1 else 2
        return trade(symbol, round(price, places), round(chance.random() ** 3, 8), time_ms, None)
    if symbol in CURRENCIES:
        return trade(symbol, round(1.08 + chance.randrange(-500, 500) / 1e5, 5), 0, time_ms, None)
    return trade(symbol, 2030 + chance.randrange(0, 40) / 10, chance.randrange(1, 5), time_ms, None)


def trade(symbol, price, volume, time_ms, conditions):
    return {"symbol": symbol, "price": price, "volume": volume, "trade_time": time_ms, "conditions": conditions}
