"""Holds the HTTP API against the tables that Cassandra's own driver reads, row by row and page by page, and the
forms of an answer against each other, as pyarrow reads them. Prints one line."""

import argparse
import csv
import datetime
import io
import json
import math
import re
import urllib.error
import urllib.parse
import urllib.request

import pyarrow as pa
import pyarrow.parquet as pq

import tables

# Columns that are the store's own, and what the API has instead of nothing.
STORES_OWN = {"bucket"}
INSTEAD_OF_NULL = {"reason": "", "lost_records": 0, "detail": ""}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    options = parser.parse_args()
    cluster, session = tables.connect()
    rows_of = lambda table: list(session.execute(f"SELECT * FROM {table}"))
    symbols = ask(options.url, "/api/v1/symbols")["symbols"]
    assert symbols == sorted(row["symbol"] for row in rows_of("symbols")), symbols
    counts = {}
    for name, table, arguments, key in listings():
        stored = rows_of(table)
        for symbol in symbols:
            wanted = [plain(row) for row in stored if row["symbol"] == symbol and is_of(row, arguments)]
            wanted.sort(key=lambda row: [row[column] for column in key])
            found = pages(options.url, name, symbol, arguments, limit=257)
            compare(name, symbol, found, wanted)
            counts[name] = counts.get(name, 0) + len(found)
    for name in counts:
        assert counts[name] > 0, f"nothing was compared of {name}"
    for name, arguments in [("bars", {"interval": "5m"}), ("trades", {"tier": "bronze"}), ("gaps", {})]:
        for symbol in symbols:
            compare_forms(options.url, name, symbol, arguments)
    cluster.shutdown()
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    print(f"the API has what the tables have: {told} of {len(symbols)} symbols")


def listings():
    """Path, table, parameters, and the columns that its rows are in the order of."""
    for interval in ["5m", "1h"]:
        yield "bars", f"trades_gold_{interval}", {"interval": interval}, ["ts"]
        yield "revisions", "bar_revisions", {"interval": interval}, ["ts", "generation", "revision"]
    for tier in ["silver", "bronze"]:
        yield "trades", f"trades_{tier}", {"tier": tier}, ["ts", "connection", "seq"]
    yield "gaps", "feed_gaps", {}, ["gap_start", "connection", "cause"]


def is_of(row, arguments):
    return "interval" not in row or row["interval"] == arguments["interval"]


def plain(row):
    """A table's row as the API has it."""
    cells = {}
    for name, value in row.items():
        if name in STORES_OWN:
            continue
        if isinstance(value, datetime.datetime):
            value = milliseconds(value)
        if isinstance(value, float) and not math.isfinite(value):
            value = None
        cells[name] = INSTEAD_OF_NULL.get(name) if value is None else value
    return cells


def milliseconds(instant):
    instant = instant.replace(tzinfo=datetime.timezone.utc)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (instant - epoch) // datetime.timedelta(milliseconds=1)


def pages(url, name, symbol, arguments, limit):
    """All rows, oldest first, by the Link headers from page to page."""
    path = f"/api/v1/{name}/{urllib.parse.quote(symbol, safe='')}"
    path += "?" + urllib.parse.urlencode({**arguments, "limit": limit})
    rows = []
    while path:
        headers, body = fetch(url + path)
        page = json.loads(body)
        assert len(page[name]) <= limit, path
        rows = page[name] + rows
        link = re.fullmatch(r'<(.*)>; rel="next"', headers.get("link", ""))
        path = link and link.group(1)
        assert page["next"] == path, (page["next"], path)
    return rows


def compare(name, symbol, found, wanted):
    assert len(found) == len(wanted), f"{name} of {symbol}: {len(found)} rows, the table has {len(wanted)}"
    for one, other in zip(found, wanted):
        for column, value in other.items():
            told = f"{name} of {symbol}: {column} is {one[column]!r}, stored is {value!r}: {other}"
            assert one[column] == value, told


def compare_forms(url, name, symbol, arguments):
    path = f"/api/v1/{name}/{urllib.parse.quote(symbol, safe='')}"
    query = urllib.parse.urlencode({**arguments, "limit": 300})
    get = lambda form: fetch(f"{url}{path}?{query}&format={form}")[1]
    rows = json.loads(get("json"))[name]
    arrow = pa.ipc.open_stream(get("arrow")).read_all()
    parquet = pq.read_table(io.BytesIO(get("parquet")))
    assert arrow.schema.equals(parquet.schema), (arrow.schema, parquet.schema)
    for table in [arrow, parquet]:
        assert [row_of(row) for row in table.to_pylist()] == rows, f"{path}: Arrow or Parquet differ from JSON"
    text = list(csv.DictReader(io.StringIO(get("csv").decode())))
    assert [list(row) for row in text] == [list(row) for row in rows], f"{path}: columns of CSV"
    for one, other in zip(text, rows):
        for column, value in other.items():
            same = one[column] == "" if value is None else type(value)(one[column]) == value
            assert same, f"{path}: {column} is {one[column]!r} in CSV, {value!r} in JSON"


def row_of(row):
    as_number = lambda value: milliseconds(value) if isinstance(value, datetime.datetime) else value
    return {name: as_number(value) for name, value in row.items()}


def ask(url, path):
    return json.loads(fetch(url + path)[1])


def fetch(address):
    with urllib.request.urlopen(address) as answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return headers, answer.read()


if __name__ == "__main__":
    main()
