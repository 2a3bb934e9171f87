#!/usr/bin/env bash
# Builds the suite, starts a Kafka and a Cassandra of its own, and measures. ARGUMENTS go to the suite (--help).
set -euo pipefail

cd "$(dirname "$0")/.."
PROFILE=${PROFILE:-bench}
run=(cargo bench --locked --profile "$PROFILE" --bench suite)
"${run[@]}" --no-run
for argument in "$@"; do
  [[ $argument == --help || $argument == -h ]] && exec "${run[@]}" -- "$@"
done
# Without servers it looks at its arguments and no more: what it refuses is refused before they start.
env -u TICKSMITH_TEST_KAFKA "${run[@]}" -- "$@" > /dev/null
exec scripts/bench-services.sh "${run[@]}" -- "$@"
