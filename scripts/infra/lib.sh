# shellcheck shell=bash
# Shared by scripts/infra.sh and its services: messages, Java, jars, ports, processes. Sourced, never run.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
INFRA_DIR=${TICKSMITH_INFRA_DIR:-$REPO/.infra}
# Jars are the same for every copy of the servers, so a second data directory shares them.
INFRA_LIB=${TICKSMITH_INFRA_LIB:-$REPO/.infra/lib}
# The servers run in folders of their own, so relative paths are made absolute here.
[[ $INFRA_DIR == /* ]] || INFRA_DIR=$PWD/$INFRA_DIR
[[ $INFRA_LIB == /* ]] || INFRA_LIB=$PWD/$INFRA_LIB
START_TIMEOUT_S=${TICKSMITH_INFRA_START_TIMEOUT:-180}
STOP_TIMEOUT_S=${TICKSMITH_INFRA_STOP_TIMEOUT:-30}
HOST=${TICKSMITH_INFRA_HOST:-127.0.0.1}

say() { printf '%s\n' "$*"; }
die() { printf 'infra: %s\n' "$*" >&2; exit 1; }

# --- Java -----------------------------------------------------------------------------------------

# The major version of a java binary, or nothing.
java_major() {
  "$1" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1
}

# Sets JAVA to a Java 17: Cassandra 5.0 starts on 11 and 17 only, Kafka 4.1 on 17 and later.
find_java() {
  [[ -n ${JAVA:-} ]] && return
  local candidate seen=''
  for candidate in "${TICKSMITH_JAVA_HOME:-/nonexistent}/bin/java" "${JAVA_HOME:-/nonexistent}/bin/java" \
    "$(command -v java || true)" /usr/lib/jvm/*17*/bin/java; do
    [[ -x $candidate ]] || continue
    seen=$(java_major "$candidate")
    if [[ $seen == 17 ]]; then JAVA=$candidate; return; fi
  done
  die "Java 17 is needed${seen:+ (found Java $seen only)}: 'make install' installs openjdk-17-jdk-headless; TICKSMITH_JAVA_HOME names one that is elsewhere"
}

# --- jars -----------------------------------------------------------------------------------------

# The folder of a service's jars; its name carries the sum of the pom, so that a new version is a new folder.
jars_dir() { # SERVICE
  local sum
  sum=$(cksum < "$REPO/scripts/infra/$1/pom.xml")
  printf '%s/%s-%s' "$INFRA_LIB" "$1" "${sum%% *}"
}

# Resolves the jars with Maven, once. A finished folder appears by a rename, so half a download is never used.
fetch_jars() { # SERVICE
  local dir partial log
  dir=$(jars_dir "$1")
  [[ -d $dir ]] && return
  command -v mvn > /dev/null ||
    die "Maven is needed to fetch the jars of $1: 'make install' installs it (Debian package maven)"
  mkdir -p "$INFRA_LIB" 2> /dev/null || die "cannot write to $INFRA_LIB: set TICKSMITH_INFRA_LIB"
  partial=$dir.partial.$$ log=$INFRA_LIB/$1.mvn.log
  say "$1: fetching its jars with Maven (once, about 60 MB)"
  if ! JAVA_HOME=$(dirname "$(dirname "$JAVA")") mvn -B -q -f "$REPO/scripts/infra/$1/pom.xml" \
    dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$partial" > "$log" 2>&1; then
    rm -rf "$partial"
    die "Maven could not fetch the jars of $1, see $log: $(grep -m 1 ERROR "$log" || true)"
  fi
  # Another start may have been faster; its folder is as good.
  mv -T "$partial" "$dir" 2> /dev/null || rm -rf "$partial"
  [[ -d $dir ]] || die "cannot write to $dir: set TICKSMITH_INFRA_LIB"
}

# --- ports ----------------------------------------------------------------------------------------

# True when something accepts connections there.
port_open() { # PORT
  (exec 3<> "/dev/tcp/$HOST/$1") 2> /dev/null
}

need_port() { # SERVICE PORT VARIABLE
  [[ $2 =~ ^[0-9]+$ ]] && ((10#$2 >= 1 && 10#$2 <= 65535)) || die "$3='$2' is not a port number"
  port_open "$2" || return 0
  die "port $2 is taken, $1 cannot start: stop what listens there, or set $3 to a free port"
}

# One conversation on one connection: sends BYTES (printf escapes), reads COUNT bytes of answer, and so on with
# the next pair. Prints what came as decimal numbers.
exchange() { # PORT BYTES COUNT [BYTES COUNT]...
  # shellcheck disable=SC2016 # expanded by the inner shell, which `timeout` can end
  timeout 5 bash -c '
    exec 3<> "/dev/tcp/$0/$1" || exit
    shift
    while (($#)); do printf "$1" >&3; head -c "$2" <&3; shift 2; done' "$HOST" "$@" 2> /dev/null |
    od -An -v -tu1 | tr -s ' \n' ' '
}

# --- processes ------------------------------------------------------------------------------------

pid_file() { printf '%s/%s/pid' "$INFRA_DIR" "$1"; }
log_file() { printf '%s/%s/%s.log' "$INFRA_DIR" "$1" "$1"; }
# Stands in the command line of the server: a pid file may be older than the machine's last boot.
mark_of() { printf -- '-Dticksmith.infra=%s@%s' "$1" "$INFRA_DIR"; }

# Prints the pid of a service when the process of the pid file is alive and is that service.
running_pid() { # SERVICE
  local pid command
  pid=$(cat "$(pid_file "$1")" 2> /dev/null) && [[ -n $pid ]] || return 1
  command=$(ps -ww -o command= -p "$pid" 2> /dev/null) || return 1
  [[ $command == *"$(mark_of "$1") "* ]] || return 1
  printf '%s' "$pid"
}

# Starts a server that outlives this script, its terminal and its Ctrl-C.
spawn() { # SERVICE COMMAND...
  local service=$1 log
  shift
  log=$(log_file "$service")
  [[ -f $log ]] && mv -f "$log" "$log.1"
  (
    cd "$INFRA_DIR/$service" || exit 1
    nohup "$@" < /dev/null > "$log" 2>&1 &
    echo $! > "$(pid_file "$service")"
  )
}

# Waits until the service answers; says why when it died or hangs.
await_ready() { # SERVICE PORT STARTED_AT
  local service=$1 port=$2 pid
  until "${service}_answers" "$port"; do
    pid=$(running_pid "$service") ||
      die "$service stopped while starting: $(last_error "$service") (see $(log_file "$service"))"
    ((SECONDS - $3 < START_TIMEOUT_S)) ||
      die "$service (pid $pid) does not answer on port $port after $START_TIMEOUT_S s, see $(log_file "$service")"
    sleep 0.2
  done
}

# The last line that speaks of an error, or else the last line.
last_error() { # SERVICE
  local log line
  log=$(log_file "$1")
  line=$(grep -E 'ERROR|FATAL|Exception|Error' "$log" 2> /dev/null | tail -n 1)
  printf '%.300s' "${line:-$(tail -n 1 "$log" 2> /dev/null)}"
}

# Ends a service: SIGTERM and patience, or SIGKILL at once (what a test of a crash wants).
end_process() { # SERVICE SIGNAL
  local service=$1 pid port waited=0
  if ! pid=$(running_pid "$service"); then
    rm -f "$(pid_file "$service")"
    say "$service: not running"
    return
  fi
  port=$(running_port "$service")
  kill "-$2" "$pid" 2> /dev/null || true
  while running_pid "$service" > /dev/null; do
    if ((waited++ == STOP_TIMEOUT_S * 10)); then
      say "$service: still there after $STOP_TIMEOUT_S s, killing it"
      kill -KILL "$pid" 2> /dev/null || true
    fi
    sleep 0.1
  done
  # The kernel closes the sockets of a killed process a moment after it has left the process table.
  for ((waited = 0; waited < 100; waited++)); do
    port_open "$port" || break
    sleep 0.1
  done
  rm -f "$(pid_file "$service")"
  say "$service: stopped (pid $pid, SIG$2)"
}

# The port that a running service was started with.
running_port() { cat "$INFRA_DIR/$1/port"; }
