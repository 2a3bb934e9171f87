#!/usr/bin/env bash
# Kafka is away for minutes while the feed goes on: what the producer's spool makes of it, counted.
#
#   make outage MINUTES=10 RATE=5000 SIZE_MIB=200
#
# A market of RATE trades a second, a producer whose spool has a file system of SIZE_MIB to itself, a Kafka that is
# stopped for MINUTES and started again. Then the stream reads the topic, and tests/foreign/outage.py holds topic and
# bars against the market. Run by scripts/with-services.sh, which gives the Kafka.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repo=$(dirname "$here")
minutes=${MINUTES:-10} rate=${RATE:-5000} size_mib=${SIZE_MIB:-200}
ticksmith=${TICKSMITH_BIN:-$repo/target/demo/ticksmith}
python=$repo/.infra/foreign-venv/bin/python
# Before the outage, and after it: the spool is sent while the feed goes on.
before_s=20 after_s=40
seconds=$((before_s + minutes * 60 + after_s))
[[ -n ${TICKSMITH_TEST_KAFKA:-} ]] || { echo "outage: run it with make outage" >&2; exit 2; }

work=$(mktemp -d "$repo/.infra/outage.XXXXXX")
say() { printf '%s outage: %s\n' "$(date +%T)" "$*"; }

clean_up() {
  local code=$?
  trap - EXIT
  for pid in ${producer:-} ${simulator:-}; do kill -KILL "$pid" 2> /dev/null || true; done
  ! mountpoint -q "$work/spool" || umount -l "$work/spool"
  ((code == 0)) || { mkdir -p "$repo/.infra/last-failure"; cp "$work"/*.log "$repo/.infra/last-failure/" || true; }
  rm -rf "$work"
  exit "$code"
}
trap clean_up EXIT

free_port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# One metric of the producer, 0 when it does not answer.
metric() { # NAME
  curl -sf "http://127.0.0.1:$TICKSMITH__PRODUCER__HTTP_PORT/metrics" | awk -v name="$1" '$1 == name { print $2; found = 1 } END { if (!found) print 0 }'
}

await() { # WHAT SECONDS COMMAND...
  local what=$1 until=$((SECONDS + $2))
  shift 2
  until "$@"; do
    ((SECONDS < until)) || { say "waited in vain until $what"; exit 1; }
    sleep 1
  done
}

is_drained() { [[ $(metric ticksmith_spool_batches) == 0 && $(metric ticksmith_spool_limit_bytes) != 0 ]]; }
has_begun() { grep -q 'subscribed to' "$work/producer.log"; }
is_over() { ! kill -0 "$simulator" 2> /dev/null; }

cd "$work"
mkdir spool
if mount -t tmpfs -o "size=${size_mib}m" ticksmith-outage spool 2> /dev/null; then
  say "the spool has a file system of $size_mib MiB"
else
  export TICKSMITH__PRODUCER__SPOOL_MAX_MIB=$size_mib
  say "no file system can be mounted here: producer.spool_max_mib = $size_mib stands for it"
fi
export FINNHUB_API_KEY=demo TICKSMITH__KAFKA__BOOTSTRAP=$TICKSMITH_TEST_KAFKA TICKSMITH__STREAM__STORE=none
# Bars that close within a short run too.
export TICKSMITH__STREAM__INTERVALS=1m,5m
export TICKSMITH__PRODUCER__SPOOL_DIR=$work/spool TICKSMITH__TOPICS__TRADES=trades TICKSMITH__TOPICS__BARS=bars
TICKSMITH__PRODUCER__HTTP_PORT=$(free_port) TICKSMITH__STREAM__HTTP_PORT=$(free_port)
export TICKSMITH__PRODUCER__HTTP_PORT TICKSMITH__STREAM__HTTP_PORT
feed_port=$(free_port)

say "recording $seconds s at $rate trades/s"
"$python" "$repo/tests/foreign/outage.py" record frames.jsonl.gz --seconds "$seconds" --rate "$rate" > market.json
symbols=$("$python" -c 'import json; print(json.load(open("market.json"))["symbols"])')
"$ticksmith" topics > topics.log
"$ticksmith" simulate --port "$feed_port" --frames frames.jsonl.gz --exit-at-end > simulator.log 2>&1 &
simulator=$!
await "the simulator listens" 30 grep -q 'simulating Finnhub' simulator.log
"$ticksmith" producer --url "ws://127.0.0.1:$feed_port" --symbols "$symbols" > producer.log 2>&1 &
producer=$!
await "the producer subscribes" 30 has_begun
sleep "$before_s"

say "Kafka is stopped for $minutes minutes"
"$here/infra.sh" stop kafka
for ((minute = 1; minute <= minutes; minute++)); do
  sleep 60
  say "minute $minute: $(metric ticksmith_spool_batches) batches, $(($(metric ticksmith_spool_bytes) >> 20)) MiB, $(metric ticksmith_spool_overflowed_trades_total) trades given up, memory $(($(ps -o rss= -p "$producer") / 1024)) MiB"
done
"$here/infra.sh" up kafka
back_s=$SECONDS
await "the feed is over" $((after_s * 4 + 120)) is_over
simulator=
await "the spool is sent" 300 is_drained
say "the spool was sent at most $((SECONDS - back_s)) s after Kafka was back"
kill -TERM "$producer"
wait "$producer" || { say "the producer ended with $?"; exit 1; }
producer=
grep -E 'no room|has room again|log is away|not acknowledged' producer.log | sed 's/^/  producer: /' | cut -c1-150 | uniq -w 12 | head -20 || true

"$ticksmith" stream --until-end --drain > stream.log 2>&1
tail -n 1 stream.log
"$python" "$repo/tests/foreign/outage.py" judge --seconds "$seconds" --rate "$rate"
