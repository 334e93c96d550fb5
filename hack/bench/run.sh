#!/usr/bin/env bash
# Measures the pipeline on this machine; see usage below. Not a test: nothing fails on a slow day.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'EOF'
Usage: hack/bench/run.sh [SCENARIO...] [--runs N] [--seconds S] [--json FILE]

  ingest-500   requests of 500 events: until they are durable in the topic
  ingest-1     requests of 1 event
  e2e-500      as ingest-500, until the last event is stored
  e2e-1        as ingest-1, until the last event is stored

Each run of each scenario (3 of 15 s by default) starts a pipeline of its own on a new directory and sends as fast as it
answers. Before it, the same requests go to the same HTTP server with nothing behind it: `of raw` is the ratio to that.

  events/s     events acknowledged (ingest) or stored (e2e) a second
  p50, p99     time of a request in ms, from when it was due
  cpu s/M      CPU seconds a million events of the pipeline's process, the figure that noise spares
  of raw       events/s as a part of the raw HTTP limit in the same run

--json FILE appends an object a run. LOGPIPELINE_BENCH_DIR names the directory that holds the data (default: TMPDIR or /tmp).
EOF
}

runs=3 seconds=15 json=/dev/null scenarios=()
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) usage; exit ;;
    --runs) runs=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --json) json=$2; shift ;;
    ingest-500 | ingest-1 | e2e-500 | e2e-1) scenarios+=("$1") ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
[ ${#scenarios[@]} -gt 0 ] || scenarios=(ingest-500 ingest-1 e2e-500 e2e-1)

echo "building" >&2
cargo build --locked --release --quiet -p standalone
cargo build --locked --release --quiet -p producer --example raw_http
bin=target/release/logpipeline
raw=target/release/examples/raw_http
ticks=$(getconf CLK_TCK)
dir=$(mktemp -d "${LOGPIPELINE_BENCH_DIR:-${TMPDIR:-/tmp}}/logpipeline-bench.XXXXXX")
server=
cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT

# start COMMAND...: runs a server; sets server, url and token from the line that says where its page is.
start() {
  "$@" >"$dir/stdout" 2>"$dir/stderr" &
  server=$!
  until page=$(grep -m1 -oE 'http://[^ ]+#token=[^ ]+' "$dir/stdout"); do
    kill -0 "$server" 2>/dev/null || { cat "$dir/stderr" >&2; exit 1; }
    sleep 0.05
  done
  url=${page%%/#*} token=${page##*#token=}
}

stop() {
  kill "$server"
  wait "$server" 2>/dev/null || true
  server=
}

cpu() { awk -v ticks="$ticks" '{ sub(/.*\) /, ""); print ($12 + $13) / ticks }' "/proc/$server/stat"; }
now() { date +%s.%N; }

# load BATCH TOKEN: sends as fast as possible; prints the generator's last line.
load() {
  local connections=64
  [ "$1" = 1 ] || connections=8
  "$bin" generate --to "$url" --token "$2" --rate 0 --organisations 200 --for "${seconds}s" --batch "$1" \
    --connections "$connections" --quiet 2>"$dir/generate" | tail -n 1
}

field() { sed -nE "s/.*\b$1=([0-9.]+).*/\1/p" <<<"$2"; }

wait_stored() {
  while curl -sf -H "Authorization: Bearer $token" "$url/api/v1/ledger" | grep -qE '"lag":[1-9]'; do sleep 0.05; done
}

printf '%-12s %3s %12s %9s %9s %9s %8s\n' scenario run events/s p50_ms p99_ms 'cpu s/M' 'of raw'
for scenario in "${scenarios[@]}"; do
  batch=${scenario#*-}
  for run in $(seq "$runs"); do
    start "$raw"
    limit=$(field acknowledged "$(load "$batch" none)")
    stop
    start "$bin" --listen 127.0.0.1:0 --demo 0 --data-dir "$dir/data"
    any=$("$bin" token --data-dir "$dir/data" --organisation '*')
    before=$(cpu) begun=$(now)
    last=$(load "$batch" "$any")
    took=$seconds
    if [[ $scenario = e2e-* ]]; then
      wait_stored
      took=$(awk -v a="$begun" -v b="$(now)" 'BEGIN { print b - a }')
    fi
    after=$(cpu)
    stop
    rm -rf "$dir/data"
    awk -v scenario="$scenario" -v run="$run" -v events="$(field acknowledged "$last")" -v took="$took" \
      -v p50="$(field p50_ms "$last")" -v p99="$(field p99_ms "$last")" -v cpu="$after" -v cpu0="$before" \
      -v limit="$limit" -v seconds="$seconds" -v json="$json" 'BEGIN {
        rate = events / took; million = (cpu - cpu0) / events * 1e6; ratio = rate / (limit / seconds)
        printf "%-12s %3d %12.0f %9.2f %9.2f %9.2f %8.3f\n", scenario, run, rate, p50, p99, million, ratio
        printf "{\"scenario\":\"%s\",\"run\":%d,\"events\":%d,\"seconds\":%.3f,\"events_per_second\":%.0f,\"p50_ms\":%s,\"p99_ms\":%s,\"cpu_seconds_per_million\":%.3f,\"ratio_to_raw_http\":%.4f}\n",
          scenario, run, events, took, rate, p50, p99, million, ratio >> json
      }'
  done
done
