#!/usr/bin/env bash
# Installs the cargo commands that `make check` needs beside those of Rust itself; `cargo-tools.sh fuzz`: the one that
# `make fuzz` needs. Does nothing when they are there.
set -euo pipefail

# Built without optimisation: it runs for seconds, and takes a quarter of the time to build.
CARGO_DENY=0.20.2
CARGO_FUZZ=0.13.2

if [[ ${1:-} == fuzz ]]; then
  cargo fuzz --version 2> /dev/null | grep -qx "cargo-fuzz $CARGO_FUZZ" || cargo install --locked --debug "cargo-fuzz@$CARGO_FUZZ"
  exit
fi
if cargo deny --version 2> /dev/null | grep -qx "cargo-deny $CARGO_DENY"; then
  echo "cargo-deny: $CARGO_DENY is here"
else
  cargo install --locked --debug "cargo-deny@$CARGO_DENY"
fi
