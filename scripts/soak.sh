#!/usr/bin/env bash
# Runs the pipeline on a real Kafka and Cassandra of its own under load, with a kill every so often, and says at the end
# what became of memory and lag, how long the recoveries took, and how many differences there are to the oracle.
#
#   MINUTES=30 RATE=20000 SEED=1234 scripts/soak.sh
#
# The samples of every two seconds are written to .infra/soak.csv.
set -euo pipefail

cd "$(dirname "$0")/.."
scripts/foreign-venv.sh > /dev/null
cargo test --locked --profile demo --no-run --test services_chaos

export TICKSMITH_SOAK_MINUTES=${MINUTES:-30} TICKSMITH_SOAK_CSV=$PWD/.infra/soak.csv
export TICKSMITH_CHAOS_RATE=${RATE:-} TICKSMITH_CHAOS_SEED=${SEED:-}
# A heap that is right for a laptop is full after a quarter of an hour of this; a quarter of it for memtables is what
# Cassandra itself takes, and small memtables mean that it compacts more than it writes.
export CASSANDRA_COMMITLOG_SYNC=periodic CASSANDRA_HEAP=${CASSANDRA_HEAP:-4g}
export CASSANDRA_MEMTABLES=${CASSANDRA_MEMTABLES:-1024MiB}
exec scripts/with-services.sh cargo test --locked --profile demo --test services_chaos -- --nocapture
