#!/usr/bin/env bash
# scripts/with-services.sh with servers of the size that is measured.
set -euo pipefail

# Kafka's own start script gives it 1 GB. Cassandra is as large as it would make itself on 16 GB: small memtables make
# it flush and compact all the time.
export KAFKA_HEAP=${KAFKA_HEAP:-1g}
export CASSANDRA_HEAP=${CASSANDRA_HEAP:-4g} CASSANDRA_MEMTABLES=${CASSANDRA_MEMTABLES:-1024MiB}
exec "$(dirname "$0")/with-services.sh" "$@"
