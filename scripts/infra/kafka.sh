# shellcheck shell=bash
# Apache Kafka, one node that is broker and controller (KRaft). Sourced by scripts/infra.sh.

KAFKA_PORT=${KAFKA_PORT:-9092}
KAFKA_CONTROLLER_PORT=${KAFKA_CONTROLLER_PORT:-9093}
KAFKA_HEAP=${KAFKA_HEAP:-768m}
# Both set: a further open listener, advertised as the other port, where a test puts a proxy that leads to it.
KAFKA_PROXIED_PORT=${KAFKA_PROXIED_PORT:-}
KAFKA_PROXY_PORT=${KAFKA_PROXY_PORT:-}

kafka_port() { printf '%s' "$KAFKA_PORT"; }

kafka_check_ports() {
  need_port kafka "$KAFKA_PORT" KAFKA_PORT
  need_port kafka "$KAFKA_CONTROLLER_PORT" KAFKA_CONTROLLER_PORT
  ! is_proxied || need_port kafka "$KAFKA_PROXIED_PORT" KAFKA_PROXIED_PORT
  is_secure || return 0
  need_port kafka "$KAFKA_LOGIN_PORT" KAFKA_LOGIN_PORT
  need_port kafka "$KAFKA_MUTUAL_PORT" KAFKA_MUTUAL_PORT
  need_port kafka "$KAFKA_ELSEWHERE_PORT" KAFKA_ELSEWHERE_PORT
}

is_proxied() { [[ -n $KAFKA_PROXIED_PORT && -n $KAFKA_PROXY_PORT ]]; }

kafka_proxied() { # PORT
  ! is_proxied || printf ',PROXIED://%s:%s' "$HOST" "$1"
}

kafka_configure() {
  local secure
  secure=$(kafka_secure_listeners)
  cat > "$INFRA_DIR/kafka/server.properties" << EOF
# Written by scripts/infra.sh at every start: changes made here are lost.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$HOST:$KAFKA_CONTROLLER_PORT
listeners=PLAINTEXT://$HOST:$KAFKA_PORT,CONTROLLER://$HOST:$KAFKA_CONTROLLER_PORT$(kafka_proxied "$KAFKA_PROXIED_PORT")$secure
advertised.listeners=PLAINTEXT://$HOST:$KAFKA_PORT$(kafka_proxied "$KAFKA_PROXY_PORT")$secure
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT$(kafka_secure_map)
log.dirs=$INFRA_DIR/kafka/data

# A misspelt topic is an error, not a new topic with the wrong partition count.
auto.create.topics.enable=false
num.partitions=6

# One broker: the internal topics have one replica, and few partitions, so that the first transaction is quick.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=10
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=10

# Tests start and kill members and transactions all the time: no waiting for more members, short sessions
# allowed, and a transaction that has timed out is aborted within a second.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
# After kill -9 the controller waits for the dead broker's session before it takes the new one: 9 s as shipped.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
$(kafka_secure_properties)
EOF
}

# The data directory gets its cluster id and metadata version once.
kafka_format() {
  [[ -f $INFRA_DIR/kafka/data/meta.properties ]] && return
  local id users=()
  while IFS= read -r line; do users+=("$line"); done < <(kafka_secure_users)
  id=ticksmith-$(head -c 32 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' | head -c 12)
  if ! kafka_java -Xmx128m -cp "$(jars_dir kafka)/*" kafka.tools.StorageTool format \
    --cluster-id "$id" --config "$INFRA_DIR/kafka/server.properties" ${users[@]+"${users[@]}"} > "$INFRA_DIR/kafka/format.log" 2>&1; then
    die "kafka: formatting $INFRA_DIR/kafka/data failed, see $INFRA_DIR/kafka/format.log"
  fi
}

kafka_java() {
  "$JAVA" -Dlog4j2.configurationFile="$REPO/scripts/infra/kafka/log4j2.xml" "$@"
}

kafka_spawn() {
  kafka_format
  # The collector as Kafka's own start script sets it up, with a heap of one size: left to grow step by step it stays so
  # small that Java marks it again and again.
  spawn kafka "$JAVA" "$(mark_of kafka)" "-Xms$KAFKA_HEAP" "-Xmx$KAFKA_HEAP" -XX:+UseG1GC -XX:MaxGCPauseMillis=20 \
    -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent -XX:+ExitOnOutOfMemoryError \
    -Djava.awt.headless=true -Dlog4j2.configurationFile="$REPO/scripts/infra/kafka/log4j2.xml" \
    -cp "$(jars_dir kafka)/*" kafka.Kafka "$INFRA_DIR/kafka/server.properties"
}

# Ready = a Metadata request (v1, no topics) is answered and names a broker: until then it has not joined its
# own controller, and topics cannot be made. Layout: length 4, correlation id 4, number of brokers 4.
kafka_answers() { # PORT
  local answer
  answer=$(exchange "$1" '\x00\x00\x00\x17\x00\x03\x00\x01\x00\x00\x00\x07\x00\x09ticksmith\x00\x00\x00\x00' 12)
  # shellcheck disable=SC2086 # twelve numbers, one word each
  set -- $answer
  (($# == 12)) && [[ "$5 $6 $7 $8" == '0 0 0 7' ]] && ((${12} >= 1))
}
