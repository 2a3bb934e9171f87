#!/usr/bin/env python3
"""Sends a few trades of SMOKE:TEST through the running system and finds them in every table and in the HTTP API.

    python3 scripts/smoke_test.py          one line
    python3 scripts/smoke_test.py -v       every place, with what was found there

It calls `ticksmith smoke-test`: the binary named by TICKSMITH_BIN, the one that was built here, or the one on PATH; where
there is none, the one in the container of the compose service `stream`. What follows `--` goes to the command, for
example `-- --within 2m --api http://127.0.0.1:8501`. Exit code 0: all was found; 1: something was not; 2: wrong arguments
or configuration; 3: Kafka, Cassandra or the binary is absent. Needs nothing but Python's standard library.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
STREAM, DASHBOARD = "stream", "dashboard"
ABSENT = 3


def local_binary() -> str | None:
    """The newest build of this checkout, else what is on PATH."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    builds = [target / profile / "ticksmith" for profile in ("release", "demo", "debug")]
    builds = [build for build in builds if os.access(build, os.X_OK)]
    newest = max(builds, key=lambda build: build.stat().st_mtime, default=None)
    return str(newest) if newest else shutil.which("ticksmith")


def in_container(more: list[str]) -> list[str] | None:
    """The command in the running container of the stream, if Docker Compose has one, and where its API is."""
    for compose in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(compose[0]) is None:
            continue
        base = [*compose, "-f", str(REPOSITORY / "docker-compose.yml"), "--profile", "full"]
        if is_running(base, STREAM):
            asks_api = "--api" not in more and is_running(base, DASHBOARD)
            api = ["--api", f"http://{DASHBOARD}:8501"] if asks_api else []
            return [*base, "exec", "-T", STREAM, "ticksmith", "smoke-test", "--json", *api, *more]
    return None


def is_running(compose: list[str], service: str) -> bool:
    listed = subprocess.run([*compose, "ps", "-q", service], capture_output=True, text=True, check=False)
    return listed.returncode == 0 and listed.stdout.strip() != ""


def find_command(more: list[str]) -> list[str] | None:
    binary = os.environ.get("TICKSMITH_BIN") or local_binary()
    return [binary, "smoke-test", "--json", *more] if binary else in_container(more)


def show(report: dict, verbose: bool) -> None:
    for step in report["steps"] if verbose else []:
        print(f"{step['outcome']:<8} {step['place']:<16} {step['after_ms'] / 1000:>5.1f} s  {step['detail']}")
    for problem in report["problems"] if verbose else []:
        print(f"problem  {problem}")
    found = [step["place"] for step in report["steps"] if step["outcome"] == "found" and step["place"] != "sent"]
    others = [f"{step['place']} {step['outcome']}" for step in report["steps"] if step["outcome"] != "found"]
    print(f"{report['symbol']}: found in {', '.join(found) or 'no place'}" + "".join(f"; {other}" for other in others))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-v", "--verbose", action="store_true", help="every place, with what was found there")
    parser.add_argument("more", nargs="*", help="after --: arguments of `ticksmith smoke-test`")
    arguments = parser.parse_args()
    command = find_command(arguments.more)
    if command is None:
        print("smoke_test: no ticksmith here and no container of it: `make install` builds it", file=sys.stderr)
        return ABSENT
    if arguments.verbose:
        print(f"running  {' '.join(command)}", flush=True)
    try:
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except OSError as problem:
        print(f"smoke_test: {command[0]} cannot be run: {problem}", file=sys.stderr)
        return ABSENT
    # Without a report the command has said on standard error why there is none.
    if ran.stdout.strip():
        show(json.loads(ran.stdout), arguments.verbose)
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main())
