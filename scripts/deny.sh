#!/usr/bin/env bash
# Holds the dependencies against deny.toml: licences, banned crates, sources, and known vulnerabilities where their
# database can be reached. cargo-deny comes from scripts/cargo-tools.sh.
set -euo pipefail

cd "$(dirname "$0")/.."
scripts/need.sh cargo cargo-deny
cargo deny --locked check licenses bans sources

# The database is a git repository on the internet, which build machines often cannot reach.
if timeout 60 cargo deny --log-level off fetch db > /dev/null 2>&1; then
  cargo deny --locked check --disable-fetch advisories
else
  echo "advisories: not checked, their database cannot be reached from here"
fi
