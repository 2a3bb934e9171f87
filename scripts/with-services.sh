#!/usr/bin/env bash
# Runs a command with a Kafka and a Cassandra of its own: free ports, empty private data, gone afterwards.
#
#   scripts/with-services.sh cargo test --test 'services_*'
#
# TICKSMITH_INFRA_SERVICES=kafka starts one of them only. TICKSMITH_INFRA_SECURE=yes gives both TLS and logins (scripts/infra/security.sh). The command finds them through
#   TICKSMITH_TEST_KAFKA       127.0.0.1:PORT
#   TICKSMITH_TEST_CASSANDRA   127.0.0.1:PORT
#   TICKSMITH_TEST_KAFKA_PROXIED, …_PROXY   a listener of Kafka, and where it tells its clients to find it: a test puts
#                              a proxy there
#   TICKSMITH_TEST_INFRA       their data directory
#   TICKSMITH_TEST_KAFKA_LOGIN, …_MUTUAL, …_ELSEWHERE   further listeners of a secure Kafka
# and may end and start them with `scripts/infra.sh kill|stop|up kafka|cassandra`: directory and ports are in the
# environment already.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repo=$(dirname "$here")
(($#)) || { echo "usage: scripts/with-services.sh COMMAND [ARGUMENTS]" >&2; exit 2; }

# Below the range that the kernel hands out to outgoing connections.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 10000))
    [[ " ${taken:-} " == *" $port "* ]] && continue
    (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null || break
  done
  taken="${taken:-} $port"
  printf -v "$1" %s "$port"
  export "${1?}"
}

# What a failed run leaves behind to look at.
keep_logs() {
  local kept=$repo/.infra/last-failure
  mkdir -p "$kept"
  cp "$TICKSMITH_INFRA_DIR"/*/*.log* "$kept/" 2> /dev/null || true
  echo "with-services: the logs of the servers are in $kept" >&2
}

clean_up() {
  local code=$?
  trap - EXIT
  # Interrupted: the command and whatever it started. Over already: nobody is left in its group.
  [[ -z ${child:-} ]] || kill -TERM -- "-$child" 2> /dev/null || true
  "$here/infra.sh" down || true
  ((code == 0)) || keep_logs
  rm -rf "$TICKSMITH_INFRA_DIR"
  exit "$code"
}

for name in KAFKA_PORT KAFKA_CONTROLLER_PORT KAFKA_LOGIN_PORT KAFKA_MUTUAL_PORT KAFKA_ELSEWHERE_PORT \
  KAFKA_PROXIED_PORT KAFKA_PROXY_PORT CASSANDRA_PORT CASSANDRA_STORAGE_PORT; do free_port "$name"; done
mkdir -p "$repo/.infra"
TICKSMITH_INFRA_DIR=$(mktemp -d "$repo/.infra/test.XXXXXX")
export TICKSMITH_INFRA_DIR
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

read -ra services <<< "${TICKSMITH_INFRA_SERVICES:-kafka cassandra}"
"$here/infra.sh" up "${services[@]}"
export TICKSMITH_TEST_KAFKA=127.0.0.1:$KAFKA_PORT
export TICKSMITH_TEST_CASSANDRA=127.0.0.1:$CASSANDRA_PORT
export TICKSMITH_TEST_KAFKA_LOGIN=127.0.0.1:$KAFKA_LOGIN_PORT
export TICKSMITH_TEST_KAFKA_MUTUAL=127.0.0.1:$KAFKA_MUTUAL_PORT
export TICKSMITH_TEST_KAFKA_ELSEWHERE=127.0.0.1:$KAFKA_ELSEWHERE_PORT
export TICKSMITH_TEST_KAFKA_PROXIED=127.0.0.1:$KAFKA_PROXIED_PORT
export TICKSMITH_TEST_KAFKA_PROXY=127.0.0.1:$KAFKA_PROXY_PORT
export TICKSMITH_TEST_INFRA=$TICKSMITH_INFRA_DIR
# In a process group of its own, so that an interrupted run ends all of it and not only the first process.
set -m
"$@" &
child=$!
set +m
wait "$child"
