#!/usr/bin/env bash
# Installs the cargo commands that `make check` needs beside those of Rust itself. Does nothing when they are there.
set -euo pipefail

# Built without optimisation: it runs for seconds, and takes a quarter of the time to build.
CARGO_DENY=0.20.2

if cargo deny --version 2> /dev/null | grep -qx "cargo-deny $CARGO_DENY"; then
  echo "cargo-deny: $CARGO_DENY is here"
else
  cargo install --locked --debug "cargo-deny@$CARGO_DENY"
fi
