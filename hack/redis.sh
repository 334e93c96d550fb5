#!/usr/bin/env bash
# A real Redis for tests and development on this machine; see usage below.
set -euo pipefail

usage() {
  cat <<'EOF'
Usage: hack/redis.sh COMMAND

  up      installs Redis if it is missing, starts a server of our own, waits until it answers, prints its URL
  status  prints the URL and exits with 0 if it answers, else with 1
  down    ends it and deletes its directory
  stop    freezes it: connections stay open and nothing answers
  cont    lets it go on
  kill    ends it at once
  start   brings it back after kill, empty

Each can be run any number of times. The server keeps everything in memory only, wants no password and listens on the
loopback interface only; no other Redis of the machine is touched.

  LOGPIPELINE_REDIS_PORT  its port (default 16379)
  LOGPIPELINE_CACHE       where its directory is (default: ~/.cache/logpipeline)
EOF
}

port="${LOGPIPELINE_REDIS_PORT:-16379}"
dir="${LOGPIPELINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/logpipeline}/redis-$port"
url="redis://127.0.0.1:$port"
patience=20

say() { printf 'hack/redis.sh: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

install_program() {
  command -v redis-server >/dev/null && return
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  if ! command -v apt-get >/dev/null || { [ -n "$sudo" ] && ! command -v sudo >/dev/null; }; then
    fail "redis-server is missing. On Debian or Ubuntu: apt-get install redis-server"
  fi
  say "installing redis-server"
  $sudo apt-get update -qq
  # The package starts a server of its own, at the usual port, unless a policy says no.
  if [ -e /usr/sbin/policy-rc.d ]; then
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null
  else
    printf '#!/bin/sh\nexit 101\n' | $sudo tee /usr/sbin/policy-rc.d >/dev/null
    $sudo chmod +x /usr/sbin/policy-rc.d
    local installed=0
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null || installed=1
    $sudo rm -f /usr/sbin/policy-rc.d
    [ "$installed" = 0 ] || fail "apt-get could not install redis-server"
  fi
  command -v redis-server >/dev/null || fail "redis-server is still missing after installing redis-server"
}

# Process of the server that lives in our directory, if it runs.
server() {
  local pid
  pid=$(cat "$dir/pid" 2>/dev/null) || return 1
  [ -n "$pid" ] && [ "$(readlink -f "/proc/$pid/cwd" 2>/dev/null)" = "$(readlink -f "$dir")" ] && echo "$pid"
}

answers() { server >/dev/null && [ "$(timeout 3 redis-cli -h 127.0.0.1 -p "$port" ping 2>/dev/null)" = PONG ]; }

start_server() {
  if ! server >/dev/null; then
    if (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      fail "port $port is taken by another program: set LOGPIPELINE_REDIS_PORT"
    fi
    mkdir -p "$dir"
    rm -f "$dir/pid"
    redis-server --port "$port" --bind 127.0.0.1 --dir "$dir" --pidfile "$dir/pid" --logfile "$dir/log" --daemonize yes \
      --save '' --appendonly no >/dev/null
  fi
  local began=$SECONDS
  until answers; do
    [ $((SECONDS - began)) -lt "$patience" ] || {
      tail -n 20 "$dir/log" >&2
      fail "it does not answer within $patience s; hack/redis.sh cont lets a frozen one go on"
    }
    sleep 0.05
  done
}

end_server() {
  local pid
  pid=$(server) || return 0
  kill -KILL "$pid"
  while server >/dev/null; do sleep 0.02; done
}

signal() {
  local pid
  pid=$(server) || fail "it does not run: hack/redis.sh up"
  kill "-$1" "$pid"
}

command=${1:-}
case "$command" in
  -h | --help) usage; exit ;;
  up | status | down | stop | cont | kill | start) [ $# = 1 ] || { usage >&2; exit 2; } ;;
  *) usage >&2; exit 2 ;;
esac
[ "$port" -lt 32768 ] || fail "port $port is one that the system gives to outgoing connections: choose one below 32768"
case "$command" in
  up | start)
    install_program
    # One at a time: two that start the same server would disturb each other.
    mkdir -p "$(dirname "$dir")"
    exec 9>"$dir.lock"
    flock 9
    start_server 9>&-
    echo "$url"
    ;;
  status) answers && echo "$url" || exit 1 ;;
  down)
    end_server
    rm -f "$dir/pid" "$dir/log"
    [ ! -d "$dir" ] || rmdir --ignore-fail-on-non-empty "$dir"
    ;;
  stop) signal STOP ;;
  cont) signal CONT ;;
  kill) end_server ;;
esac
