#!/usr/bin/env bash
# Real Apache Kafka and Apache Cassandra without Docker, from their published jars on Java 17.
# Driven by `make infra-up`, `make infra-down`, `make infra-status`; docs/INFRASTRUCTURE.md has the whole story.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
source "$here/infra/lib.sh"
source "$here/infra/security.sh"
source "$here/infra/kafka.sh"
source "$here/infra/cassandra.sh"

usage() {
  cat << 'EOF'
usage: scripts/infra.sh COMMAND [kafka|cassandra ...]      (no name: both)

  up       fetch the jars once, start, return when the servers answer
  down     stop (SIGTERM, then SIGKILL after 30 s); the data stay        (also: stop)
  kill     SIGKILL, as a crash would
  status   one line a service; exit code 0 only when all of them answer
  jars     fetch the jars, start nothing
  java     SERVICE FILE.java [ARGUMENTS]: run a one-file Java program with the jars of a service

environment: KAFKA_PORT 9092, KAFKA_CONTROLLER_PORT 9093, CASSANDRA_PORT 9042, CASSANDRA_STORAGE_PORT 7000,
  KAFKA_HEAP 768m, CASSANDRA_HEAP 1280m, CASSANDRA_MEMTABLES 256MiB, CASSANDRA_COMMITLOG_SYNC periodic,
  TICKSMITH_INFRA_HOST 127.0.0.1,
  CASSANDRA_SEEDS itself (for a further node of a ring: HOST:PORT of the first, and a host and directory of its own),
  TICKSMITH_INFRA_SECURE no (yes: with TLS and logins, and KAFKA_LOGIN_PORT 9094, KAFKA_MUTUAL_PORT 9095,
  KAFKA_ELSEWHERE_PORT 9096),
  TICKSMITH_INFRA_DIR .infra, TICKSMITH_INFRA_LIB .infra/lib,
  TICKSMITH_JAVA_HOME, TICKSMITH_INFRA_START_TIMEOUT 180, TICKSMITH_INFRA_STOP_TIMEOUT 30
EOF
}

# Starts one service unless it is up; does not wait for it.
start() { # SERVICE
  local service=$1 pid wanted
  wanted=$("${service}_port")
  if pid=$(running_pid "$service"); then
    [[ $(running_port "$service") == "$wanted" ]] ||
      die "$service of $INFRA_DIR is up on port $(running_port "$service"), not $wanted: 'make infra-down' first, or set TICKSMITH_INFRA_DIR"
    return
  fi
  "${service}_check_ports"
  fetch_jars "$service"
  mkdir -p "$INFRA_DIR/$service" 2> /dev/null && [[ -w $INFRA_DIR/$service ]] ||
    die "cannot write to $INFRA_DIR: set TICKSMITH_INFRA_DIR"
  ! is_secure || make_certificates
  "${service}_configure"
  echo "$wanted" > "$INFRA_DIR/$service/port"
  "${service}_spawn"
}

up() {
  local service began pid state
  find_java
  # A port that is taken should be known before the first server is started.
  for service in "$@"; do running_pid "$service" > /dev/null || "${service}_check_ports"; done
  for service in "$@"; do
    if running_pid "$service" > /dev/null; then state="already up"; else state="up"; fi
    eval "${service}_state=\$state"
    start "$service"
  done
  began=$SECONDS
  for service in "$@"; do
    await_ready "$service" "$("${service}_port")" "$began"
    pid=$(running_pid "$service")
    state=${service}_state
    say "$service: ${!state} on $HOST:$("${service}_port") (pid $pid)"
  done
}

status() {
  local service pid port all=0
  for service in "$@"; do
    if ! pid=$(running_pid "$service"); then
      say "$service: not running"
      all=1
    elif port=$(running_port "$service") && "${service}_answers" "$port"; then
      say "$service: up on $HOST:$port (pid $pid)"
    else
      say "$service: process $pid is there but does not answer on port $port, see $(log_file "$service")"
      all=1
    fi
  done
  return $all
}

run_java() { # SERVICE FILE ARGUMENTS...
  local service=$1
  shift
  find_java
  fetch_jars "$service"
  exec "$JAVA" -Xmx256m -Dlogback.configurationFile="$here/infra/java/logback.xml" \
    -Dlog4j2.configurationFile="$here/infra/java/log4j2.xml" -cp "$(jars_dir "$service")/*" "$@"
}

command=${1:-help}
shift || true
if [[ $command == java ]]; then
  (($# >= 2)) && [[ $1 == kafka || $1 == cassandra ]] || { usage >&2; exit 2; }
  run_java "$@"
fi
services=("$@")
((${#services[@]})) || services=(kafka cassandra)
for service in "${services[@]}"; do
  [[ $service == kafka || $service == cassandra ]] || { usage >&2; exit 2; }
done
case $command in
  up) up "${services[@]}" ;;
  down | stop) for service in "${services[@]}"; do end_process "$service" TERM; done ;;
  kill) for service in "${services[@]}"; do end_process "$service" KILL; done ;;
  status) status "${services[@]}" ;;
  jars) find_java; for service in "${services[@]}"; do fetch_jars "$service"; done ;;
  help | -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
