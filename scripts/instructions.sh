#!/usr/bin/env bash
# Counts the instructions that each step of the hot path takes a trade, and compares them with what is recorded.
#
#   scripts/instructions.sh            fails when a step takes 5 % more than recorded (TOLERANCE=5)
#   scripts/instructions.sh record     writes the counts down: after a change that is worth them, or that saves some
#
# Times of a busy machine are noise; counts of one binary are the same every time. callgrind counts inside of the
# function `measured` alone, so what prepares the trades does not matter.
set -euo pipefail

cd "$(dirname "$0")/.."
RECORDED=benches/instructions/recorded.csv
TRADES=20000
STEPS=(parse intake encode decode step)
TOLERANCE=${TOLERANCE:-5}
target=${CARGO_TARGET_DIR:-target}/instructions

count() { # STEP: instructions a trade
  local out
  out=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no \
    '--toggle-collect=instructions::measured*' "$target/release/instructions" "$1" "$TRADES" 2>&1) ||
    { echo "instructions: $1 failed: $out" >&2; return 1; }
  sed -n 's/^==[0-9]*== Collected : //p' <<< "$out" | awk -v trades="$TRADES" '$1 > 0 { printf "%.1f", $1 / trades }'
}

recorded() { # STEP
  [[ ! -e $RECORDED ]] || sed -n "s/^$1,//p" "$RECORDED"
}

cargo build --locked --quiet --release --manifest-path benches/instructions/Cargo.toml --target-dir "$target"
compiler=$(rustc --version)
written="# $compiler"$'\nname,instructions'
failed=0
for step in "${STEPS[@]}"; do
  now=$(count "$step")
  [[ -n $now ]] || { echo "instructions: callgrind counted nothing for $step" >&2; exit 1; }
  written+=$'\n'$step,$now
  [[ ${1:-check} == record ]] && { printf '%-8s %10s a trade\n' "$step" "$now"; continue; }
  before=$(recorded "$step")
  [[ -n $before ]] || { echo "instructions: $step is not in $RECORDED: 'make instructions ARGS=record'" >&2; exit 1; }
  verdict=$(awk -v now="$now" -v before="$before" -v most="$TOLERANCE" 'BEGIN {
    change = (now / before - 1) * 100
    printf "%+.1f %% ", change
    print ((change > most) ? "too many" : (change < -most) ? "fewer: record them" : "") }')
  printf '%-8s %10s a trade, recorded %10s  %s\n' "$step" "$now" "$before" "$verdict"
  [[ $verdict != *"too many" ]] || failed=1
done
if [[ ${1:-check} == record ]]; then
  printf '%s\n' "$written" > "$RECORDED"
  echo "written to $RECORDED"
elif [[ $(sed -n 's/^# //p' "$RECORDED") != "$compiler" ]]; then
  # Another compiler makes other code.
  echo "instructions: not judged, $RECORDED was recorded with another compiler"
elif ((failed)); then
  echo "instructions: more than $TOLERANCE % above $RECORDED; if the change is worth it: 'make instructions ARGS=record'" >&2
  exit 1
fi
