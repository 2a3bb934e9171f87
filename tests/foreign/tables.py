"""The tables as a stranger's driver sees them: definitions, options, rows, write times and what is left of their lives."""

import time
from collections import defaultdict
from decimal import Decimal

from cassandra import ConsistencyLevel
from cassandra.cluster import Cluster, ExecutionProfile, EXEC_PROFILE_DEFAULT
from cassandra.query import dict_factory

from records import setting

DAY_S = 86_400
FRESH_S = 3_600
CLOCK_SLACK_S = 5
LIFETIMES_S = {
    "trades_bronze": 7 * DAY_S,
    "trades_silver": 30 * DAY_S,
    "trades_gold_5m": 90 * DAY_S,
    "trades_gold_1h": 365 * DAY_S,
    "feed_gaps": 90 * DAY_S,
}
# Bars of other intervals.
OTHER_GOLD_S = 90 * DAY_S
TRADE_TYPES = {
    "symbol": "text", "bucket": "int", "ts": "timestamp", "connection": "bigint", "seq": "bigint",
    "price": "double", "volume": "double", "conditions": "text", "received_at": "timestamp",
    "disposition": "text",
}  # fmt: skip
BAR_TYPES = {
    "symbol": "text", "ts": "timestamp", "window_end": "timestamp", "open": "double", "high": "double",
    "low": "double", "close": "double", "volume": "double", "volume_exact": "text", "vwap": "double",
    "trade_count": "bigint", "state": "text", "revision": "bigint", "coverage": "double",
    "gap_ms": "bigint", "verdict": "text", "session": "text",
}  # fmt: skip
GAP_TYPES = {
    "symbol": "text", "bucket": "int", "gap_start": "timestamp", "connection": "bigint", "cause": "text",
    "gap_end": "timestamp", "gap_ms": "bigint", "next_connection": "bigint", "lost_records": "bigint",
}  # fmt: skip
TYPES = {"trades_bronze": TRADE_TYPES, "trades_silver": TRADE_TYPES, "feed_gaps": GAP_TYPES}
KEYS = {
    "trades_bronze": (["symbol", "bucket"], ["ts", "connection", "seq"]),
    "trades_silver": (["symbol", "bucket"], ["ts", "connection", "seq"]),
    "trades_gold_5m": (["symbol"], ["ts"]),
    "trades_gold_1h": (["symbol"], ["ts"]),
    "feed_gaps": (["symbol", "bucket"], ["gap_start", "connection", "cause"]),
}


def connect():
    points = [point.rsplit(":", 1) for point in setting("cassandra", "contact_points").split(",")]
    hosts, port = [host for host, _ in points], int(points[0][1])
    # What was acknowledged by a quorum is there for a quorum, whichever node is away or has just come back.
    profile = ExecutionProfile(
        row_factory=dict_factory, request_timeout=60, consistency_level=ConsistencyLevel.QUORUM
    )
    cluster = Cluster(hosts, port=port, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    return cluster, cluster.connect(setting("cassandra", "keyspace"))


def wrong_definitions(session):
    """What is not as promised: columns, types, keys, lifetimes, compaction."""
    keyspace = setting("cassandra", "keyspace")
    columns, options = defaultdict(dict), {}
    for row in session.execute("SELECT * FROM system_schema.columns WHERE keyspace_name = %s", [keyspace]):
        columns[row["table_name"]][row["column_name"]] = row
    for row in session.execute("SELECT * FROM system_schema.tables WHERE keyspace_name = %s", [keyspace]):
        options[row["table_name"]] = row
    for table, lifetime_s in LIFETIMES_S.items():
        if table not in options:
            yield f"table {table} is missing"
            continue
        for name, kind in TYPES.get(table, BAR_TYPES).items():
            found = columns[table].get(name, {}).get("type")
            if found != kind:
                yield f"{table}.{name} is {found}, wanted {kind}"
        if keys_of(columns[table]) != KEYS[table]:
            yield f"{table} has the primary key {keys_of(columns[table])}, wanted {KEYS[table]}"
        if options[table]["default_time_to_live"] != lifetime_s:
            yield f"{table} keeps rows {options[table]['default_time_to_live']} s, wanted {lifetime_s}"
        if not options[table]["compaction"]["class"].endswith("TimeWindowCompactionStrategy"):
            yield f"{table} compacts with {options[table]['compaction']['class']}"


def keys_of(columns):
    def named(kind):
        found = [c for c in columns.values() if c["kind"] == kind]
        return [c["column_name"] for c in sorted(found, key=lambda c: c["position"])]

    return named("partition_key"), named("clustering")


def rows(session, table, key_column):
    """Every row; timestamps as ms, with write time (µs) and remaining life (s) of a column that is always there."""
    keyspace = setting("cassandra", "keyspace")
    found = session.execute(
        "SELECT column_name, type FROM system_schema.columns WHERE keyspace_name = %s AND table_name = %s",
        [keyspace, table],
    )
    names = [
        f"to_unix_timestamp({row['column_name']}) AS {row['column_name']}"
        if row["type"] == "timestamp"
        else row["column_name"]
        for row in found
    ]
    life = f"WRITETIME({key_column}) AS written, TTL({key_column}) AS ttl"
    return list(session.execute(f"SELECT {', '.join(names)}, {life} FROM {table}"))


def wrong_lives(table, found, age_of, started_s):
    """Rows that do not live as long as their tier says: as long as the table says when fresh or older than the tier
    keeps anyway, and what is left of it in between."""
    now_s, lifetime_s = time.time(), LIFETIMES_S.get(table, OTHER_GOLD_S)
    for row in found:
        age_s = age_of(row, now_s)
        left = row["ttl"]
        shortened = lifetime_s - age_s
        whole = left is not None and lifetime_s - (now_s - started_s) - CLOCK_SLACK_S <= left <= lifetime_s
        rest = left is not None and abs(left - shortened) <= CLOCK_SLACK_S
        near_a_border = abs(age_s - FRESH_S) < 600 or abs(age_s - lifetime_s) < 600
        is_whole = age_s < FRESH_S or age_s >= lifetime_s
        if not ((whole or rest) if near_a_border else whole if is_whole else rest):
            yield f"{table}: a row of age {age_s:.0f} s lives {left} s more, the table's time is {lifetime_s} s: {brief(row)}"


def trade_age(row, now_s):
    return now_s - row["received_at"] / 1000


def bar_age(row, now_s):
    return now_s - row["window_end"] / 1000


def brief(row):
    names = ("symbol", "ts", "connection", "seq", "state", "revision", "disposition")
    return {name: row[name] for name in names if name in row}


def bar_of_row(row, interval):
    """A gold row in the shape of the oracle's bars."""
    bar = {name: row[name] for name in ("symbol", "window_end", "open", "high", "low", "close", "volume", "vwap")}
    bar |= {name: row[name] for name in ("trade_count", "session", "state", "revision", "generation")}
    bar |= {name: row[name] for name in ("coverage", "gap_ms", "verdict")}
    bar |= {"interval": interval, "window_start": row["ts"], "volume_exact": Decimal(row["volume_exact"])}
    for name in ("open", "high", "low", "close"):
        point = (row[name + "_time"], row[name + "_connection"], row[name + "_seq"])
        known = dict(zip(("trade_time", "connection", "seq"), point))
        bar[name + "_trade"] = None if point == (None, None, None) else known
    bar["excluded"] = {}
    for column in row:
        if column.startswith("excluded_") and column.endswith("_count") and row[column]:
            reason = column.removeprefix("excluded_").removesuffix("_count")
            volume = Decimal(row[f"excluded_{reason}_volume_exact"])
            bar["excluded"][reason] = (volume, row[column])
    return bar
