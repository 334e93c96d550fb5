# Scenarios on a real Kafka and a real PostgreSQL; a part of run.sh.

export LOGPIPELINE_KAFKA_PORT="${LOGPIPELINE_KAFKA_PORT:-19492}" LOGPIPELINE_POSTGRES_PORT="${LOGPIPELINE_POSTGRES_PORT:-25434}"
replay="$programs/examples/kafka_replay"
columns='timestamp, place, id, stored_on, level, organization_id, service, message, trace_id, span_id, attributes'
# Connections of COPY beside each other: as many as the topic has partitions, each of which the consumer stores by its own.
sessions=6
services=0
LOGPIPELINE_GATEWAY_KEY=$(openssl rand -hex 32)
export LOGPIPELINE_GATEWAY_KEY

start_parts() {
  local environment
  environment=$(hack/kafka.sh up)
  brokers=$(sed -nE 's/^export LOGPIPELINE_TEST_KAFKA=//p' <<<"$environment")
  server_url=$(hack/postgres.sh up)
  postmaster=$(sql logpipeline <<'EOF'
SELECT pg_backend_pid() AS pid \gset
\setenv BACKEND :pid
\! sed 's/.*) //' "/proc/$BACKEND/stat" | cut -d' ' -f2
EOF
  )
  # It stands in its data directory, with its socket beside that.
  socket=$(dirname "$(readlink "/proc/$postmaster/cwd")")
  sql logpipeline <<'EOF'
SELECT 'PostgreSQL ' || current_setting('server_version') || ': ' || string_agg(name || ' = ' || current_setting(name), ', ')
FROM unnest(ARRAY['fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size']) AS name;
EOF
}

end_parts() {
  hack/kafka.sh down 2>/dev/null || true
  hack/postgres.sh rm 2>/dev/null || true
}

# sql DATABASE: runs the statements of the standard input.
sql() { psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "${server_url%/*}/$1"; }

# as_superuser STATEMENT
as_superuser() { psql --no-psqlrc --quiet --host="$socket" --port="$LOGPIPELINE_POSTGRES_PORT" --username=postgres --command="$1"; }

# The server writes back what it keeps in memory first, so that no measurement pays for the one before.
new_database() {
  echo "CREATE DATABASE $1" | sql logpipeline
  as_superuser CHECKPOINT
}

# The superuser's part, because the server's own vacuum may be at work in it.
drop_database() { as_superuser "DROP DATABASE $1 WITH (FORCE)"; }

# CPU seconds of PostgreSQL so far: of those that live, and of those whose end its first process has seen. Looked at again
# when one of them ended meanwhile, which would be in neither.
postgres_cpu() {
  local children before sum pid
  children=$(cat "/proc/$postmaster/task/$postmaster/children")
  while
    before=$children
    sum=$(for pid in $postmaster $children; do cat "/proc/$pid/stat" 2>/dev/null || true; done |
      awk -v ticks="$ticks" '{ sub(/.*\) /, ""); sum += $12 + $13 } NR == 1 { sum += $14 + $15 } END { printf "%.2f", sum / ticks }')
    children=$(cat "/proc/$postmaster/task/$postmaster/children")
    [ "$children" != "$before" ]
  do :; done
  echo "$sum"
}

# service NAME TOPIC [VARIABLE=VALUE...]: starts one; sets pid and log.
service() {
  local name=$1 topic=$2; shift 2
  log="$dir/$name-$topic-$((services += 1)).log"
  : >"$log"
  env LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS="$brokers" LOGPIPELINE_KAFKA_TOPIC="$topic" LOGPIPELINE_LISTEN=127.0.0.1:0 \
    LOGPIPELINE_ADMIN_LISTEN=127.0.0.1:0 LOGPIPELINE_DRAIN_DELAY=0s LOGPIPELINE_LOG_FORMAT=text "$@" \
    "$programs/logpipeline-$name" >"$log" 2>&1 &
  pid=$!
  running[$pid]=1
}

# lives PID...: ends all when one of them has ended.
lives() {
  local pid
  for pid in "$@"; do
    kill -0 "$pid" 2>/dev/null || { cat "$dir"/*.log >&2; echo "process $pid has ended" >&2; exit 1; }
  done
}

# address WORDS: sets address, from the log of the service that was started last.
address() {
  until address=$(grep -m1 -oE "$1.*127\.0\.0\.1:[0-9]+" "$log" | grep -oE '127\.0\.0\.1:[0-9]+$'); do
    lives "$pid"
    sleep 0.05
  done
}

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# token SECRET: may write the logs of any organisation for an hour.
token() {
  local now signed
  now=$(date +%s)
  signed=$(printf '{"alg":"HS256","typ":"JWT"}' | base64url).$(printf \
    '{"iss":"logpipeline","organization":"*","scope":"logs:write","iat":%d,"exp":%d}' "$now" $((now + 3600)) | base64url)
  printf '%s.%s' "$signed" "$(printf %s "$signed" | openssl dgst -sha256 -hmac "$1" -binary | base64url)"
}

# Fills the topic `events` by the product's own path; sets filled.
fill() {
  local secret token producer last
  "$replay" make "$brokers" events events-dlq
  secret=$(openssl rand -hex 32)
  service producer events
  producer=$pid
  address 'taking events'
  service gateway events LOGPIPELINE_JWT_SECRET="$secret" LOGPIPELINE_DATABASE_URL="$server_url" \
    LOGPIPELINE_PRODUCER_URL="http://$address"
  address open
  token=$(token "$secret") filled=0
  while [ "$filled" -lt "$events" ]; do
    last=$("$bin" generate --to "http://$address" --token "$token" --rate 0 --organisations 500 --for 2s --quiet | tail -n 1)
    filled=$((filled + $(field acknowledged "$last")))
  done
  end_process "$pid"
  end_process "$producer"
}

# result SCENARIO RUN MEASURED EVENTS SECONDS [NAME VALUE...]: notes a measurement of so many events.
result() {
  local scenario=$1 run=$2 measured=$3 events=$4 seconds=$5; shift 5
  note "$scenario" "$run" "$measured" events "$events" seconds "$seconds" events_per_second "$(per_second "$events" "$seconds")" "$@"
}

per_second() { awk -v e="$1" -v s="$2" 'BEGIN { printf "%.0f", e / s }'; }

# note SCENARIO RUN MEASURED [NAME VALUE...]: notes figures, for the table, the summary and the JSON.
note() {
  local scenario=$1 run=$2 measured=$3 object; shift 3
  object="{\"scenario\":\"$scenario\",\"run\":$run,\"measured\":\"$measured\""
  printf '%-18s %3d %-22s' "$scenario" "$run" "$measured"
  while [ $# -gt 0 ]; do
    object+=",\"$1\":$2"
    printf ' %s=%s' "$1" "$2"
    printf '%s\t%s\t%s\t%s\n' "$scenario" "$measured" "$1" "$2" >>"$dir/results"
    shift 2
  done
  echo
  echo "$object}" >>"$json"
}

per_million() { awk -v cpu="$1" -v before="$2" -v events="$3" 'BEGIN { printf "%.3f", (cpu - before) / events * 1e6 }'; }
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f", b - a }'; }
peak_mib() { local pid; for pid in "$@"; do awk '/^VmHWM:/ { print int($2 / 1024) }' "/proc/$pid/status"; done | sort -n | tail -n 1; }
quotient() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a / b }'; }

summary() {
  printf '\n%-18s %-22s %-32s %10s %10s %10s\n' scenario measured figure min median max
  sort -t $'\t' -k1,3 -k4,4n "$dir/results" | awk -F '\t' '
    function tell() { if (n) printf "%s %10s %10s %10s\n", last, v[1], n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2, v[n] }
    { key = sprintf("%-18s %-22s %-32s", $1, $2, $3) }
    key != last { tell(); n = 0; last = key }
    { v[++n] = $4 }
    END { tell() }'
}

. hack/bench/http_to_kafka.sh
. hack/bench/topic_to_postgres.sh

measure_real() {
  local scenario run
  # With the features of all: what was built for anything else of the workspace is not built again.
  cargo build --locked --release --quiet --workspace --all-features --bins --example kafka_replay
  start_parts
  fill
  for scenario in "${real[@]}"; do
    for run in $(seq "$runs"); do "${scenario//-/_}" "$run"; done
  done
  summary
}
