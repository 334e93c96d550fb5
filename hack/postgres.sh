#!/usr/bin/env bash
# A real PostgreSQL for tests and development on this machine; see usage below.
set -euo pipefail

usage() {
  cat <<'EOF'
Usage: hack/postgres.sh COMMAND

  up      installs PostgreSQL if it is missing, makes a server of our own, starts it, waits until it answers, prints its URL
  status  prints the URL and exits with 0 if it answers, else with 1
  down    stops it; its data stays
  kill    stops it at once, as a power failure would: what was under way is lost, what was committed is not
  stop    freezes its processes: connections stay open and nothing answers
  cont    lets frozen processes go on
  rm      stops it and deletes its data

Each can be run any number of times. The server listens on the loopback interface only and belongs to the directory it
lives in, so no other PostgreSQL of the machine is touched.

  LOGPIPELINE_POSTGRES_PORT  its port (default 25432)
  LOGPIPELINE_POSTGRES_DIR   its directory (default: postgres-PORT in LOGPIPELINE_CACHE, or in ~/.cache/logpipeline,
                             for root /var/cache/logpipeline)
  LOGPIPELINE_POSTGRES_TLS   on: a new server also speaks TLS, with a certificate for localhost (not for 127.0.0.1) by the
                             authority ca.pem in its directory (default off)
EOF
}

port="${LOGPIPELINE_POSTGRES_PORT:-25432}"
# Root's home is closed to the user that the server runs as.
[ "$(id -u)" != 0 ] || : "${LOGPIPELINE_CACHE:=${XDG_CACHE_HOME:-/var/cache}/logpipeline}"
dir="${LOGPIPELINE_POSTGRES_DIR:-${LOGPIPELINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/logpipeline}/postgres-$port}"
data="$dir/data"
url="postgres://logpipeline:logpipeline@127.0.0.1:$port/logpipeline"
patience=60

say() { printf 'hack/postgres.sh: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# The server refuses to run as root: then it runs as the user that the package made.
as_server() {
  if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

find_programs() {
  local newest
  newest=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
  if [ -x "${newest:-}/initdb" ]; then PATH="$newest:$PATH"; fi
  command -v initdb >/dev/null && command -v pg_ctl >/dev/null
}

install_programs() {
  find_programs && return
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  command -v apt-get >/dev/null || fail "PostgreSQL is missing. Install its server, version 14 or newer"
  say "installing postgresql"
  $sudo apt-get update -qq
  # Without this the package makes and starts a server of its own.
  $sudo mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] ||
    echo 'create_main_cluster = false' | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null
  find_programs || fail "initdb is still missing after installing postgresql"
}

make_server() {
  [ ! -s "$data/PG_VERSION" ] || return 0
  say "making a server in $dir"
  mkdir -p "$dir"
  [ "$(id -u)" != 0 ] || chown postgres: "$dir"
  as_server rm -rf "$data"
  # Parents of the directory may be closed to the user that the server runs as.
  as_server test -w "$dir" || fail "the user postgres cannot write to $dir: set LOGPIPELINE_POSTGRES_DIR to a place it can reach"
  as_server initdb --pgdata="$data" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --auth=trust >/dev/null
  as_server tee -a "$data/postgresql.conf" >/dev/null <<EOF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir'
max_connections = 200
shared_buffers = 256MB
max_wal_size = 4GB
EOF
  # Over TCP everybody needs a password, so that a wrong one is refused.
  as_server tee "$data/pg_hba.conf" >/dev/null <<'EOF'
local all all trust
host  all all 127.0.0.1/32 scram-sha-256
EOF
  [ "${LOGPIPELINE_POSTGRES_TLS:-off}" = off ] || make_certificates
}

make_certificates() {
  command -v openssl >/dev/null || fail "openssl is missing: install it, or leave LOGPIPELINE_POSTGRES_TLS off"
  as_server openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=logpipeline-test-ca \
    -keyout "$data/ca.key" -out "$dir/ca.pem" 2>/dev/null
  as_server openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$data/server.key" -out "$data/server.csr" 2>/dev/null
  echo 'subjectAltName=DNS:localhost' | as_server tee "$data/server.ext" >/dev/null
  as_server openssl x509 -req -in "$data/server.csr" -CA "$dir/ca.pem" -CAkey "$data/ca.key" -CAcreateserial -days 3650 \
    -extfile "$data/server.ext" -out "$data/server.crt" 2>/dev/null
  echo 'ssl = on' | as_server tee -a "$data/postgresql.conf" >/dev/null
}

# Process of the server that lives in our directory, if it runs.
server() {
  local pid
  pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) || return 1
  [ -n "$pid" ] && [ "$(readlink -f "/proc/$pid/cwd" 2>/dev/null)" = "$(readlink -f "$data")" ] && echo "$pid"
}

# Every process of the server, itself last.
processes() {
  local pid
  pid=$(server) || return 0
  cat "/proc/$pid/task/$pid/children" 2>/dev/null | tr ' ' '\n' | sed '/^$/d'
  echo "$pid"
}

answers() { PGCONNECT_TIMEOUT=3 as_server psql --quiet --no-psqlrc --host="$dir" --port="$port" --username=postgres --command='SELECT 1' >/dev/null 2>&1; }

start_server() {
  server >/dev/null && return
  if (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    fail "port $port is taken by another program: set LOGPIPELINE_POSTGRES_PORT"
  fi
  as_server rm -f "$data/postmaster.pid"
  as_server pg_ctl start --silent --no-wait --pgdata="$data" --log="$dir/log" --options="-p $port" >/dev/null
  local began=$SECONDS
  until answers; do
    [ $((SECONDS - began)) -lt "$patience" ] || { tail -n 20 "$dir/log" >&2; fail "it does not answer within $patience s"; }
    sleep 0.1
  done
}

# The user and database of the URL. The user may make databases: each test has its own.
make_database() {
  as_server psql --quiet --no-psqlrc --host="$dir" --port="$port" --username=postgres --set=ON_ERROR_STOP=1 <<'EOF'
SELECT 'CREATE ROLE logpipeline LOGIN CREATEDB PASSWORD ''logpipeline'''
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'logpipeline') \gexec
SELECT 'CREATE DATABASE logpipeline OWNER logpipeline'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'logpipeline') \gexec
EOF
}

signal() {
  local pids
  pids=$(processes)
  # shellcheck disable=SC2086
  [ -z "$pids" ] || kill "-$1" $pids 2>/dev/null || true
}

end_server() {
  server >/dev/null || return 0
  signal CONT
  as_server pg_ctl stop --silent --pgdata="$data" --mode="$1" --timeout="$patience" || fail "it does not end within $patience s"
}

command=${1:-}
case "$command" in
  -h | --help) usage; exit ;;
  up | status | down | kill | stop | cont | rm) [ $# = 1 ] || { usage >&2; exit 2; } ;;
  *) usage >&2; exit 2 ;;
esac
[ "$port" -lt 32768 ] || fail "port $port is one that the system gives to outgoing connections: choose one below 32768"
case "$command" in
  up)
    install_programs
    make_server
    start_server
    make_database
    echo "$url"
    ;;
  status) find_programs && answers && echo "$url" || exit 1 ;;
  down) find_programs || exit 0; end_server fast ;;
  kill) find_programs || exit 0; end_server immediate ;;
  stop) signal STOP ;;
  cont) signal CONT ;;
  rm)
    ! find_programs || end_server fast
    # Nothing but what this script has made.
    [ ! -s "$data/PG_VERSION" ] || rm -rf "$data"
    rm -f "$dir/log" "$dir/ca.pem" "$dir/ca.srl"
    [ ! -d "$dir" ] || rmdir --ignore-fail-on-non-empty "$dir"
    ;;
esac
