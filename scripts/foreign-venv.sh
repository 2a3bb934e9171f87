#!/usr/bin/env bash
# Makes the Python environment of the integration tests: clients that share no code with ticksmith, in the versions of
# tests/foreign/requirements.txt, under .infra/foreign-venv. Does nothing when that is there already. Prints the path of
# its interpreter.
set -euo pipefail

repo=$(cd "$(dirname "$0")/.." && pwd)
venv=$repo/.infra/foreign-venv
wanted=$repo/tests/foreign/requirements.txt

if ! cmp -s "$wanted" "$venv/installed.txt" || ! "$venv/bin/python" -c '' 2> /dev/null; then
  command -v python3 > /dev/null ||
    { echo "Python 3 is missing: 'make install' installs it (Debian packages python3, python3-venv)" >&2; exit 1; }
  rm -rf "$venv"
  mkdir -p "$repo/.infra"
  python3 -m venv "$venv" >&2 ||
    { echo "no virtual environment could be made: 'make install' installs python3-venv" >&2; exit 1; }
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted" >&2
  cp "$wanted" "$venv/installed.txt"
fi
echo "$venv/bin/python"
