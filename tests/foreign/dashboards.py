"""Runs every CQL statement of grafana/dashboards, of panels, annotations and variables, against Cassandra as the data
source would, and says what Grafana could not draw. Exit code 1 when anything is wrong."""

import argparse
import json
import pathlib
import re
import sys

import tables
from records import setting

GRAFANA = pathlib.Path(__file__).resolve().parents[2] / "grafana"
DRAWABLE = {"text", "varchar", "timestamp", "double", "bigint", "int"}
NUMBERS = {"double", "bigint", "int"}
# What needs no number to be drawn.
OF_TEXT = {"annotation", "state-timeline", "table"}
# The data source knows no functions in these places, and Cassandra cannot page an ordered IN.
FORBIDDEN = [r"\$__timeFrom\(", r"\$__timeTo\(", r"\$__timeFilter", r"\$\{__from:date", r";\s*\S"]


def provisioned():
    """The uids of the data sources that are set up."""
    files = (GRAFANA / "provisioning" / "datasources").glob("*.y*ml")
    return set(re.findall(r"^\s*-?\s*uid:\s*(\S+)", "\n".join(f.read_text() for f in files), re.M))


def panels(node):
    for panel in node.get("panels", []):
        yield panel
        yield from panels(panel)


def targets(dashboard):
    """Name, kind and query of everything that asks for data."""
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            yield panel["title"], panel["type"], target
    for annotation in dashboard.get("annotations", {}).get("list", []):
        yield annotation["name"], "annotation", {"datasource": annotation["datasource"], **annotation["target"]}


def expanded(cql, given):
    values = {
        "$__timeFrom": given.from_ms,
        "$__timeTo": given.to_ms,
        "$__unixEpochFrom": given.from_ms // 1000,
        "$__unixEpochTo": given.to_ms // 1000,
        "$__from": given.from_ms,
        "$__to": given.to_ms,
        "$__interval_ms": 300_000,
        "$__interval": "5m",
        "$symbol": given.symbol,
        # A panel that is repeated gets one at a time, everything else all of them at once.
        "$symbols": given.symbol,
        "${symbols:singlequote}": f"'{given.symbol}','NOT:THERE'",
    }
    # Longer names first: $__interval is the beginning of $__interval_ms.
    for name in sorted(values, key=len, reverse=True):
        cql = cql.replace(name, str(values[name]))
    return re.sub(r"\bmarket\.", setting("cassandra", "keyspace") + ".", cql)


def run(session, cql, given):
    result = session.execute(expanded(cql, given))
    names = result.column_names
    kinds = [kind.typename for kind in result.column_types]
    return list(zip(names, kinds)), list(result)


def wrong_text(cql):
    if not cql.startswith("SELECT "):
        yield "does not begin with 'SELECT '"
    for pattern in FORBIDDEN:
        if re.search(pattern, cql):
            yield f"holds {pattern}"
    if re.search(r"\bORDER BY\b", cql) and re.search(r"\bIN\s*\(", cql):
        yield "orders what it gets by IN"


def wrong_target(session, kind, target, uids, given):
    source = target.get("datasource", {}).get("uid")
    if source not in uids:
        yield f"data source {source} is not provisioned"
    if (target.get("queryType"), target.get("rawQuery")) != ("query", True):
        yield f"queryType {target.get('queryType')}, rawQuery {target.get('rawQuery')}"
    cql = target.get("target", "")
    yield from wrong_text(cql)
    columns, rows = run(session, cql, given)
    kinds = [kind for _, kind in columns]
    if not rows:
        yield "no rows"
    if kinds[0] not in ("text", "varchar"):
        yield f"the first column, the series' name, is {columns[0]}"
    # The first time draws; only the end of a region may be another.
    if kinds.count("timestamp") != (2 if kind == "annotation" else 1):
        yield f"{kinds.count('timestamp')} timestamps: {columns}"
    if set(kinds) - DRAWABLE or not (NUMBERS & set(kinds) or kind in OF_TEXT):
        yield f"columns that cannot be drawn: {columns}"
    # The data source makes it 0, or the beginning of 1970.
    for name, its_kind in columns:
        if its_kind in NUMBERS | {"timestamp"} and any(row[name] is None for row in rows):
            yield f"column {name} has rows without a value"


def wrong_variable(session, variable, uids, given):
    if variable.get("datasource", {}).get("uid") not in uids:
        yield "data source is not provisioned"
    query = variable.get("query")
    if not isinstance(query, dict) or not query.get("query", "").startswith("SELECT "):
        yield f"query is {query}"
        return
    if re.search(r"\$__(timeFrom|timeTo|unixEpoch)", query["query"]):
        yield "uses a macro that variables do not have"
    _, rows = run(session, query["query"], given)
    if given.symbol not in {next(iter(row.values())) for row in rows}:
        yield f"{given.symbol} is not among its {len(rows)} rows"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--from", dest="from_ms", type=int, required=True)
    arguments.add_argument("--to", dest="to_ms", type=int, required=True)
    arguments.add_argument("--symbol", required=True)
    given = arguments.parse_args()
    cluster, session = tables.connect()
    uids, problems, run_count = provisioned(), [], 0
    files = sorted((GRAFANA / "dashboards").rglob("*.json"))
    for path in files:
        dashboard = json.loads(path.read_text())
        for name, kind, target in targets(dashboard):
            if target.get("datasource", {}).get("type") == "prometheus":
                continue
            where = f"{path.name}, {kind} '{name}', {target.get('refId')}"
            problems += [f"{where}: {one}" for one in wrong_target(session, kind, target, uids, given)]
            run_count += 1
        for variable in dashboard.get("templating", {}).get("list", []):
            if variable["type"] == "query" and variable["datasource"]["type"] != "prometheus":
                where = f"{path.name}, variable {variable['name']}"
                problems += [f"{where}: {one}" for one in wrong_variable(session, variable, uids, given)]
                run_count += 1
    cluster.shutdown()
    print(f"{run_count} statements of {len(files)} dashboards")
    if not run_count:
        problems.append("there is nothing to run")
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
