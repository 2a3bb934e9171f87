# shellcheck shell=bash
# Certificates and logins of servers that let nobody in without them. Sourced by scripts/infra.sh.

# yes: Kafka also listens for SASL_SSL and for TLS with client certificates; Cassandra wants both, and a password.
SECURE=${TICKSMITH_INFRA_SECURE:-no}
TLS_DIR=$INFRA_DIR/tls
# One user of everything; a name and a password with characters that need quoting somewhere.
SECURE_USER=ticksmith
SECURE_PASSWORD='t1ck$m!th=s3cret%2B'
CASSANDRA_FIRST_PASSWORD=cassandra

is_secure() {
  case $SECURE in
    yes) return 0 ;;
    no) return 1 ;;
    *) die "TICKSMITH_INFRA_SECURE is '$SECURE': yes or no" ;;
  esac
}

# An authority with the certificates that it signs: NAME.pem, NAME.key.
make_authority() { # NAME
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$1" \
    -keyout "$1.key" -out "$1.pem"
}

make_certificate() { # NAME AUTHORITY SUBJECT_ALT_NAME
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 30 -out "$1.pem" \
    -extfile <(printf 'subjectAltName=%s' "$3")
}

# In the run's own directory, once: the password, an authority, a server's certificate for the names that tests connect to, a client's
# with an open and an encrypted key, and a stranger: an authority that nobody here trusts, with a client of its own.
make_certificates() {
  [[ -f $TLS_DIR/done ]] && return
  command -v openssl > /dev/null || die "openssl is missing: 'make install' installs it (Debian package openssl)"
  mkdir -p "$TLS_DIR"
  (
    cd "$TLS_DIR" || exit 1
    set -e
    make_authority authority
    make_authority stranger
    make_certificate server authority "IP:$HOST,DNS:localhost"
    make_certificate elsewhere authority "DNS:elsewhere.example"
    make_certificate client authority DNS:client
    make_certificate intruder stranger DNS:intruder
    openssl pkcs8 -topk8 -in client.key -out client-encrypted.key -passout "pass:$SECURE_PASSWORD"
    printf '%s' "$SECURE_PASSWORD" > password
    for name in server elsewhere; do cat "$name.key" "$name.pem" > "$name-keystore.pem"; done
    touch done
  ) > "$INFRA_DIR/tls.log" 2>&1 || die "the certificates could not be made, see $INFRA_DIR/tls.log"
}

# --- Kafka ----------------------------------------------------------------------------------------

KAFKA_LOGIN_PORT=${KAFKA_LOGIN_PORT:-9094}
KAFKA_MUTUAL_PORT=${KAFKA_MUTUAL_PORT:-9095}
KAFKA_ELSEWHERE_PORT=${KAFKA_ELSEWHERE_PORT:-9096}

kafka_secure_listeners() {
  is_secure || return 0
  printf ',LOGIN://%s:%s,MUTUAL://%s:%s,ELSEWHERE://%s:%s' \
    "$HOST" "$KAFKA_LOGIN_PORT" "$HOST" "$KAFKA_MUTUAL_PORT" "$HOST" "$KAFKA_ELSEWHERE_PORT"
}

kafka_secure_map() {
  ! is_secure || printf ',LOGIN:SASL_SSL,MUTUAL:SSL,ELSEWHERE:SSL'
}

# LOGIN wants a user, MUTUAL a certificate; ELSEWHERE shows one that is made out to another host.
kafka_secure_properties() {
  is_secure || return 0
  local jaas=org.apache.kafka.common.security
  cat << EOF

inter.broker.listener.name=PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location=$TLS_DIR/server-keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location=$TLS_DIR/authority.pem
listener.name.mutual.ssl.client.auth=required
listener.name.elsewhere.ssl.keystore.type=PEM
listener.name.elsewhere.ssl.keystore.location=$TLS_DIR/elsewhere-keystore.pem
listener.name.login.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.login.plain.sasl.jaas.config=$jaas.plain.PlainLoginModule required \\
  user_$SECURE_USER="$SECURE_PASSWORD";
listener.name.login.scram-sha-256.sasl.jaas.config=$jaas.scram.ScramLoginModule required;
listener.name.login.scram-sha-512.sasl.jaas.config=$jaas.scram.ScramLoginModule required;
EOF
}

# The users of SCRAM are records of the cluster, made with its data directory.
kafka_secure_users() {
  is_secure || return 0
  local mechanism
  for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
    printf -- '--add-scram\n%s=[name=%s,password="%s"]\n' "$mechanism" "$SECURE_USER" "$SECURE_PASSWORD"
  done
}

# --- Cassandra ------------------------------------------------------------------------------------

cassandra_secure_options() {
  is_secure || return 0
  cat << EOF

authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
client_encryption_options:
  enabled: true
  optional: false
  require_client_auth: true
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
  keystore: $TLS_DIR/server-keystore.pem
  truststore: $TLS_DIR/authority.pem
EOF
}

# Ready = the first superuser, whom Cassandra makes by itself after it has begun to listen, can log in: STARTUP is
# answered by AUTHENTICATE (opcode 3), AUTH_RESPONSE with name and password by AUTH_SUCCESS (16). Frames as below.
cassandra_secure_answers() { # PORT
  local startup login answer
  startup='\x04\x00\x00\x01\x01\x00\x00\x00\x16\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0'
  login='\x04\x00\x00\x02\x0f\x00\x00\x00\x18\x00\x00\x00\x14\x00cassandra\x00cassandra'
  # shellcheck disable=SC2016 # expanded by the inner shell, which `timeout` can end
  answer=$(timeout 5 bash -c '
    coproc tls { openssl s_client -quiet -no_ign_eof -connect "$0" -CAfile "$1/authority.pem" \
      -cert "$1/client.pem" -key "$1/client.key" 2> /dev/null; }
    printf "$2" >&"${tls[1]}"
    # A header of nine bytes, and the name of the authenticator: 49 with its length.
    head -c 58 <&"${tls[0]}"
    printf "$3" >&"${tls[1]}"
    head -c 9 <&"${tls[0]}"' "$HOST:$1" "$TLS_DIR" "$startup" "$login" 2> /dev/null | od -An -v -tu1 | tr -s ' \n' ' ')
  # shellcheck disable=SC2086 # sixty-seven numbers, one word each
  set -- $answer
  (($# == 67)) && [[ $5 == 3 && ${63} == 16 ]]
}
