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
# As large as Cassandra would make them itself on 16 GB: small memtables make it flush and compact all the time.
# Kafka's own start script gives it 1 GB.
export KAFKA_HEAP=${KAFKA_HEAP:-1g}
export CASSANDRA_HEAP=${CASSANDRA_HEAP:-4g} CASSANDRA_MEMTABLES=${CASSANDRA_MEMTABLES:-1024MiB}
exec scripts/with-services.sh "${run[@]}" -- "$@"
