#!/usr/bin/env bash
# Runs fuzz targets one after the other, over the kept corpus and what earlier runs found, and prints how often each
# ran. Ends with 1 when an input broke something: it then lies in target/fuzz/artifacts/.
#
#   scripts/fuzz.sh [TARGET...]    all targets, unless some are named
#   SECONDS_EACH=60                how long each runs
#   KEEP=yes                       take what reached new code into fuzz/corpus/
set -euo pipefail

cd "$(dirname "$0")/.."
scripts/need.sh cargo cc

TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
# Longer inputs find nothing that shorter ones do not, and take their time.
INPUT_BYTES_MAX=16384
# Of the whole process; tests/fuzzing/entries/mod.rs bounds what one input may hold.
PROCESS_MIB_MAX=512

# The entries write their files anew for each input.
[[ ! -d /dev/shm ]] || export TMPDIR=/dev/shm

run() { "$TARGET_DIR/x86_64-unknown-linux-gnu/release/$1" "${@:2}"; }

# The figure behind `stat::NAME:` in a log of libFuzzer's.
figure() { sed -n "s/^stat::$2: *//p" "$1"; }

fuzz() {
  local target=$1 found=$TARGET_DIR/corpus/$1 artifacts=$TARGET_DIR/artifacts/$1/ log=$TARGET_DIR/$1.log ended=held
  mkdir -p "$found" "$artifacts"
  run "$target" "$found" "fuzz/corpus/$target" -max_total_time="${SECONDS_EACH:-60}" -max_len=$INPUT_BYTES_MAX \
    -rss_limit_mb=$PROCESS_MIB_MAX -timeout=10 -artifact_prefix="$artifacts" -print_final_stats=1 > "$log" 2>&1 ||
    { ended=BROKEN; failed=1; }
  printf '%-18s %12s %8s %6s  %s\n' "$target" "$(figure "$log" number_of_executed_units)" \
    "$(figure "$log" average_exec_per_sec)" "$(figure "$log" peak_rss_mb)" "$ended"
  [[ $ended == held ]] || grep -E "panicked|ERROR|Test unit written" -A 2 "$log" | sed 's/^/    /'
  if [[ ${KEEP:-no} == yes ]]; then
    run "$target" -merge=1 "fuzz/corpus/$target" "$found" -max_len=$INPUT_BYTES_MAX >> "$log" 2>&1
  fi
}

# Coverage of our code needs no nightly compiler. A sanitizer would; it watches unsafe code, and no decoder has any.
cargo fuzz build --sanitizer none --target-dir "$TARGET_DIR"
if (($# == 0)); then
  mapfile -t all < <(basename -s .rs fuzz/fuzz_targets/*.rs)
  set -- "${all[@]}"
fi
failed=0
printf '%-18s %12s %8s %6s\n' target executions per_s MiB
for target in "$@"; do fuzz "$target"; done
exit $failed
