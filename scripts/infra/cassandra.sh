# shellcheck shell=bash
# Apache Cassandra, one node: alone, or with CASSANDRA_SEEDS one more of a ring. Sourced by scripts/infra.sh.

CASSANDRA_PORT=${CASSANDRA_PORT:-9042}
CASSANDRA_STORAGE_PORT=${CASSANDRA_STORAGE_PORT:-7000}
CASSANDRA_SEEDS=${CASSANDRA_SEEDS:-$HOST:$CASSANDRA_STORAGE_PORT}
CASSANDRA_HEAP=${CASSANDRA_HEAP:-1280m}
CASSANDRA_MEMTABLES=${CASSANDRA_MEMTABLES:-256MiB}
CASSANDRA_COMMITLOG_SYNC=${CASSANDRA_COMMITLOG_SYNC:-periodic}

cassandra_port() { printf '%s' "$CASSANDRA_PORT"; }

cassandra_check_ports() {
  need_port cassandra "$CASSANDRA_PORT" CASSANDRA_PORT
  need_port cassandra "$CASSANDRA_STORAGE_PORT" CASSANDRA_STORAGE_PORT
}

# periodic, as shipped: a write is acknowledged before it is on the disk, and kill -9 loses what was acknowledged in the
# last tenth of a second, since the log is only replayed up to its last marker. batch: acknowledged is durable.
cassandra_commitlog() {
  case $CASSANDRA_COMMITLOG_SYNC in
    periodic) printf 'commitlog_sync: periodic\ncommitlog_sync_period: 10000ms\n' ;;
    batch) printf 'commitlog_sync: batch\n' ;;
    *) die "CASSANDRA_COMMITLOG_SYNC is '$CASSANDRA_COMMITLOG_SYNC': periodic or batch" ;;
  esac
}

cassandra_configure() {
  local data=$INFRA_DIR/cassandra/data
  mkdir -p "$data" "$INFRA_DIR/cassandra/tmp"
  cat > "$INFRA_DIR/cassandra/cassandra.yaml" << EOF
# Written by scripts/infra.sh at every start: changes made here are lost.
cluster_name: ticksmith
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "$CASSANDRA_SEEDS"
# A ring of tests is made empty: a new node has nothing to fetch.
auto_bootstrap: false
listen_address: $HOST
storage_port: $CASSANDRA_STORAGE_PORT
rpc_address: $HOST
start_native_transport: true
native_transport_port: $CASSANDRA_PORT

data_file_directories: ["$data/tables"]
commitlog_directory: "$data/commitlog"
hints_directory: "$data/hints"
saved_caches_directory: "$data/saved_caches"
cdc_raw_directory: "$data/cdc_raw"

$(cassandra_commitlog)
commitlog_total_space: 1024MiB
memtable_heap_space: $CASSANDRA_MEMTABLES
memtable_offheap_space: $CASSANDRA_MEMTABLES
# As in Cassandra's own cassandra_latest.yaml: a third less work for the writes of trades than with the defaults, which
# are those of version 4.
memtable_allocation_type: offheap_objects
memtable:
  configurations:
    skiplist: {class_name: SkipListMemtable}
    trie: {class_name: TrieMemtable}
    default: {inherits: trie}
storage_compatibility_mode: NONE
sstable: {selected_format: bti}
compaction_throughput: 64MiB/s

# Batch size thresholds stay as shipped (warn 5 KiB, fail 50 KiB): they do not count batches of one partition, which
# are the only ones that the stream writes, and a looser server here would hide a mistake from the tests.

# A busy laptop or CI machine is slow now and then; that is not an outage.
read_request_timeout: 10000ms
range_request_timeout: 15000ms
write_request_timeout: 10000ms
truncate_request_timeout: 60000ms
# TRUNCATE and DROP in tests would leave a snapshot each.
auto_snapshot: false

materialized_views_enabled: false
sasi_indexes_enabled: false
user_defined_functions_enabled: false
$(cassandra_secure_options)
EOF
}

cassandra_spawn() {
  local jars options=()
  jars=$(jars_dir cassandra)
  # bash 3.2 has no mapfile
  while IFS= read -r line; do [[ $line == -* ]] && options+=("$line"); done \
    < "$REPO/scripts/infra/cassandra/jvm.options"
  # The first node waits for nobody; a further one has to find it.
  [[ $CASSANDRA_SEEDS == "$HOST:"* ]] || options+=(-Dcassandra.ring_delay_ms=10000)
  spawn cassandra "$JAVA" "$(mark_of cassandra)" -ea -da:net.openhft... "-Xms$CASSANDRA_HEAP" "-Xmx$CASSANDRA_HEAP" \
    -XX:+ExitOnOutOfMemoryError "${options[@]}" -javaagent:"$(echo "$jars"/jamm-*.jar)" \
    -Djava.io.tmpdir="$INFRA_DIR/cassandra/tmp" \
    -Dcassandra.superuser_setup_delay_ms=0 -Dcassandra.storagedir="$INFRA_DIR/cassandra/data" \
    -Dcassandra.config="file://$INFRA_DIR/cassandra/cassandra.yaml" \
    -Dlogback.configurationFile="$REPO/scripts/infra/cassandra/logback.xml" \
    -cp "$jars/*" org.apache.cassandra.service.CassandraDaemon
}

# Ready = a CQL session gets rows: STARTUP and, once that is answered (what comes before is dropped),
# SELECT cluster_name FROM system.local. Native protocol v4;
# frame header: version 1, flags 1, stream 2, opcode 1, length 4; READY (2) has no body, RESULT is 8, rows kind 2.
cassandra_answers() { # PORT
  local startup query answer
  if is_secure; then cassandra_secure_answers "$1"; return; fi
  startup='\x04\x00\x00\x01\x01\x00\x00\x00\x16\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0'
  query='\x04\x00\x00\x02\x07\x00\x00\x00\x2c\x00\x00\x00\x25SELECT cluster_name FROM system.local\x00\x01\x00'
  answer=$(exchange "$1" "$startup" 9 "$query" 13)
  # shellcheck disable=SC2086 # twenty-two numbers, one word each
  set -- $answer
  (($# == 22)) && [[ $1 == 132 && $5 == 2 && ${10} == 132 && ${14} == 8 && ${22} == 2 ]]
}
