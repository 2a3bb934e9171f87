#!/usr/bin/env bash
# Checks that tools are there before a target needs them. One line for each that is missing, naming the remedy.
#
#   scripts/need.sh cargo cc java maven chromium python promtool valgrind compose
set -euo pipefail
# shellcheck disable=SC2317 # the checks are called by name, at the end

here=$(cd "$(dirname "$0")" && pwd)
source "$here/infra/lib.sh"

missing() { printf '%s is missing: %s\n' "$1" "$2" >&2; failed=1; }
has() { command -v "$1" > /dev/null; }
debian() { printf "'make install' installs it (Debian package %s)" "$1"; }

# The version in Cargo.toml is the one that is tested; an older compiler fails with a worse message later.
need_cargo() {
  has cargo || { missing "cargo (Rust)" "install it with rustup, see rustup.rs"; return; }
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$REPO/Cargo.toml")
  # Some other directory's toolchain may be another one
  found=$(cd "$REPO" && rustc --version | cut -d ' ' -f 2)
  [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1) == "$wanted" ]] ||
    missing "Rust $wanted or later" "this is $found; 'rustup update' brings a newer one"
}
need_rustfmt() { cargo fmt --version > /dev/null 2>&1 || missing rustfmt "rustup component add rustfmt"; }
need_clippy() { cargo clippy --version > /dev/null 2>&1 || missing clippy "rustup component add clippy"; }
need_cargo-deny() {
  cargo deny --version > /dev/null 2>&1 ||
    missing cargo-deny "'make install' installs it (cargo install --locked cargo-deny)"
}
need_openssl() { has openssl || missing openssl "$(debian openssl)"; }
need_cc() { has cc && has c++ || missing "a C compiler (cc, c++)" "$(debian build-essential)"; }
need_perl() { has perl || missing perl "$(debian perl)"; }
need_java() { (find_java) || failed=1; }
need_maven() { has mvn || missing "Maven (mvn)" "$(debian maven)"; }
need_chromium() {
  has chromium || has chromium-browser || has google-chrome || missing Chromium "$(debian chromium)"
}
need_python() { python3 -c 'import ensurepip' 2> /dev/null || missing "Python 3 with venv" "$(debian python3-venv)"; }
need_promtool() { has promtool || missing promtool "$(debian prometheus)"; }
need_valgrind() { has valgrind || missing valgrind "$(debian valgrind)"; }
need_compose() {
  docker compose version > /dev/null 2>&1 || has docker-compose ||
    missing "Docker Compose" "install Docker with its compose plugin, or docker-compose; without Docker: 'make infra-up'"
}

failed=0
for tool in "$@"; do "need_$tool"; done
exit "$failed"
