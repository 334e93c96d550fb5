#!/usr/bin/env bash
# The whole pipeline on real parts on this machine; see usage below.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
Usage: hack/dev-up.sh [--events RATE] [--profile dev|release]

Starts Kafka, PostgreSQL, Redis, the producer, the consumer, the gateway with its web page, and Prometheus, which scrapes
them and has the alerts of monitoring/alerts.yaml. Prints where everything is, and runs until Ctrl-C; then the programs
end, and Kafka, PostgreSQL and Redis stay for the next time (hack/kafka.sh down, hack/postgres.sh down, hack/redis.sh down
end them).

  --events RATE  sends RATE events a second of 20 organisations meanwhile (default 50; 0 sends none)
  --profile      how the programs are built (default release)

All listen on the loopback interface: the gateway at 8080, Prometheus at 9090, the admin servers at 9101 to 9103;
LOGPIPELINE_DEV_PORT moves all of them, so that 18080 makes the gateway 18080 and Prometheus 19090. Logs are in the directory
that is printed.
EOF
}

events=50 profile=release
while [ $# -gt 0 ]; do
  case "$1" in
    --events) events=${2:?--events needs a rate}; shift 2 ;;
    --profile) profile=${2:?--profile needs dev or release}; shift 2 ;;
    -h | --help) usage; exit ;;
    *) usage >&2; exit 2 ;;
  esac
done
base="${LOGPIPELINE_DEV_PORT:-8080}"
gateway=$base prometheus=$((base + 1010)) producer=$((base + 1)) admin_producer=$((base + 1021)) admin_consumer=$((base + 1022))
admin_gateway=$((base + 1023))
dir=$(mktemp -d "${TMPDIR:-/tmp}/logpipeline-dev.XXXXXX")
declare -A running=()

say() { printf 'hack/dev-up.sh: %s\n' "$*" >&2; }
end() {
  trap - EXIT INT TERM
  say "ending"
  [ ${#running[@]} = 0 ] || kill "${!running[@]}" 2>/dev/null || true
  wait
}
trap end EXIT
trap 'exit 0' INT TERM

# start NAME COMMAND...: in the background, with a log; its end is the end of all.
start() {
  local name=$1; shift
  "$@" >"$dir/$name.log" 2>&1 &
  running[$!]=$name
}

# until_answers NAME URL: waits for a program, or shows its log when it has ended.
until_answers() {
  local pid
  until curl -sfo /dev/null --max-time 2 "$2"; do
    for pid in "${!running[@]}"; do
      kill -0 "$pid" 2>/dev/null || { tail -n 20 "$dir/${running[$pid]}.log" >&2; say "${running[$pid]} has ended"; exit 1; }
    done
    sleep 0.2
  done
  say "$1 is ready"
}

say "building ($profile)"
cargo build --locked --quiet --profile "$profile" --workspace --all-features --bins --exclude fault-tests --exclude browser-tests
programs="${CARGO_TARGET_DIR:-target}/$([ "$profile" = dev ] && echo debug || echo "$profile")"
say "starting Kafka, PostgreSQL and Redis"
kafka=$(hack/kafka.sh up)
brokers=$(sed -nE 's/^export LOGPIPELINE_TEST_KAFKA=//p' <<<"$kafka")
database=$(hack/postgres.sh up)
redis=$(hack/redis.sh up)
PATH="$(hack/prometheus.sh path):$PATH"

# Where `logpipeline token` looks for the secret that signs.
mkdir -m 700 "$dir/keys"
(umask 077 && openssl rand -hex 32 >"$dir/keys/secret")
secret=$(cat "$dir/keys/secret")
cat >"$dir/limits.json" <<'EOF'
{ "default": { "write": { "perSecond": 50000, "burst": 100000 }, "read": { "perSecond": 200, "burst": 400 } } }
EOF
export LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS="$brokers" LOGPIPELINE_KAFKA_TOPIC=logpipeline-dev LOGPIPELINE_DRAIN_DELAY=0s \
  LOGPIPELINE_DATABASE_URL="$database" LOGPIPELINE_LOG_FORMAT=text
LOGPIPELINE_GATEWAY_KEY=$(openssl rand -hex 32)
export LOGPIPELINE_GATEWAY_KEY
hack/kafka.sh topic logpipeline-dev 6
hack/kafka.sh topic logpipeline-dev-dlq 1
start producer env LOGPIPELINE_LISTEN="127.0.0.1:$producer" LOGPIPELINE_ADMIN_LISTEN="127.0.0.1:$admin_producer" \
  "$programs/logpipeline-producer"
start consumer env LOGPIPELINE_ADMIN_LISTEN="127.0.0.1:$admin_consumer" "$programs/logpipeline-consumer"
start gateway env LOGPIPELINE_LISTEN="127.0.0.1:$gateway" LOGPIPELINE_ADMIN_LISTEN="127.0.0.1:$admin_gateway" \
  LOGPIPELINE_PRODUCER_URL="http://127.0.0.1:$producer" LOGPIPELINE_CONSUMER_URL="http://127.0.0.1:$admin_consumer" \
  LOGPIPELINE_JWT_SECRET="$secret" LOGPIPELINE_REDIS_URL="$redis" LOGPIPELINE_RATE_LIMITS_FILE="$dir/limits.json" \
  "$programs/logpipeline-gateway"
hack/prometheus.sh config producer="127.0.0.1:$admin_producer" consumer="127.0.0.1:$admin_consumer" \
  gateway="127.0.0.1:$admin_gateway" >"$dir/prometheus.yml"
start prometheus prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/prometheus" \
  --web.listen-address="127.0.0.1:$prometheus"
until_answers producer "http://127.0.0.1:$admin_producer/readyz"
until_answers consumer "http://127.0.0.1:$admin_consumer/readyz"
until_answers gateway "http://127.0.0.1:$gateway/"
until_answers Prometheus "http://127.0.0.1:$prometheus/-/ready"

token=$("$programs/logpipeline" token --data-dir "$dir/keys" --organisation '*' --scope logs:read,logs:write --for 24h)
if [ "$events" != 0 ]; then
  start generator "$programs/logpipeline" generate --to "http://127.0.0.1:$gateway" --token "$token" --rate "$events" \
    --organisations 20 --for 24h --quiet
fi
cat <<EOF

  web page and API  http://127.0.0.1:$gateway
  token             $token
  Prometheus        http://127.0.0.1:$prometheus/alerts
  health, metrics   http://127.0.0.1:$admin_producer http://127.0.0.1:$admin_consumer http://127.0.0.1:$admin_gateway
  database          $database
  logs              $dir

Ctrl-C ends it.
EOF
# Whichever ends first ends all: none of them should.
wait -n "${!running[@]}" || true
for pid in "${!running[@]}"; do
  kill -0 "$pid" 2>/dev/null || { tail -n 20 "$dir/${running[$pid]}.log" >&2; say "${running[$pid]} has ended"; }
done
exit 1
