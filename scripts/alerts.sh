#!/usr/bin/env bash
# Holds what Prometheus is told against Prometheus itself: its configuration, the alert rules on the series of their
# tests, and every query of the Grafana dashboards (promtool reads them as rules, with Grafana's variables filled in).
set -euo pipefail

cd "$(dirname "$0")/.."
queries=$(mktemp --suffix=.yml)
trap 'rm -f "$queries"' EXIT

promtool check config prometheus/prometheus.yml
promtool test rules prometheus/alerts.test.yml

python3 - > "$queries" << 'END'
import json, pathlib, re

def panels(node):
    for panel in node.get("panels", []):
        yield panel
        yield from panels(panel)

values = {"$__rate_interval": "1m", "$__range": "1h", "$__interval": "15s", "$job": "ticksmith"}
print("groups:\n  - name: dashboards\n    rules:")
for path in sorted(pathlib.Path("grafana/dashboards").glob("*.json")):
    for number, target in enumerate(
        target for panel in panels(json.loads(path.read_text())) for target in panel.get("targets", [])
    ):
        if "expr" in target:
            query = target["expr"]
            for name, value in values.items():
                query = query.replace(name, value)
            assert "$" not in query, f"{path}: {query}"
            record = re.sub(r"\W", "_", f"{path.stem}_{number}")
            print(f"      - record: {record}\n        expr: {json.dumps(query)}")
END
promtool check rules "$queries" | sed "s|$queries|grafana/dashboards|"
