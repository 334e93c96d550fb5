# Scenarios on embedded parts; a part of run.sh.

raw="$programs/examples/raw_http"
server=

# start COMMAND...: runs a server; sets server, url and token from the line that says where its page is.
start() {
  : >"$dir/stdout"
  "$@" >"$dir/stdout" 2>"$dir/stderr" &
  server=$!
  running[$server]=1
  until page=$(grep -m1 -oE 'http://[^ ]+#token=[^ ]+' "$dir/stdout"); do
    kill -0 "$server" 2>/dev/null || { cat "$dir/stderr" >&2; exit 1; }
    sleep 0.05
  done
  url=${page%%/#*} token=${page##*#token=}
}

now() { date +%s.%N; }

# load BATCH TOKEN: sends as fast as possible; prints the generator's last line.
load() {
  local connections=64
  [ "$1" = 1 ] || connections=8
  "$bin" generate --to "$url" --token "$2" --rate 0 --organisations 200 --for "${seconds}s" --batch "$1" \
    --connections "$connections" --quiet 2>"$dir/generate" | tail -n 1
}

wait_stored() {
  while curl -sf -H "Authorization: Bearer $token" "$url/api/v1/ledger" | grep -qE '"lag":[1-9]'; do sleep 0.05; done
}

# measure_run SCENARIO RUN: the raw limit, then the pipeline.
measure_run() {
  local scenario=$1 run=$2 batch=${1#*-} limit any before begun last took after
  start "$raw"
  limit=$(field acknowledged "$(load "$batch" none)")
  end_process "$server"
  start "$bin" --listen 127.0.0.1:0 --demo 0 --data-dir "$dir/data"
  any=$("$bin" token --data-dir "$dir/data" --organisation '*')
  before=$(cpu "$server") begun=$(now)
  last=$(load "$batch" "$any")
  took=$seconds
  if [[ $scenario = e2e-* ]]; then
    wait_stored
    took=$(awk -v a="$begun" -v b="$(now)" 'BEGIN { print b - a }')
  fi
  after=$(cpu "$server")
  end_process "$server"
  rm -rf "$dir/data"
  awk -v scenario="$scenario" -v run="$run" -v events="$(field acknowledged "$last")" -v took="$took" \
    -v p50="$(field p50_ms "$last")" -v p99="$(field p99_ms "$last")" -v cpu="$after" -v cpu0="$before" \
    -v limit="$limit" -v seconds="$seconds" -v json="$json" 'BEGIN {
      rate = events / took; million = (cpu - cpu0) / events * 1e6; ratio = rate / (limit / seconds)
      printf "%-12s %3d %12.0f %9.2f %9.2f %9.2f %8.3f\n", scenario, run, rate, p50, p99, million, ratio
      printf "{\"scenario\":\"%s\",\"run\":%d,\"events\":%d,\"seconds\":%.3f,\"events_per_second\":%.0f,\"p50_ms\":%s,\"p99_ms\":%s,\"cpu_seconds_per_million\":%.3f,\"ratio_to_raw_http\":%.4f}\n",
        scenario, run, events, took, rate, p50, p99, million, ratio >> json
    }'
}

measure_embedded() {
  local scenario run
  cargo build --locked --release --quiet -p standalone
  cargo build --locked --release --quiet -p producer --example raw_http
  printf '%-12s %3s %12s %9s %9s %9s %8s\n' scenario run events/s p50_ms p99_ms 'cpu s/M' 'of raw'
  for scenario in "${embedded[@]}"; do
    for run in $(seq "$runs"); do measure_run "$scenario" "$run"; done
  done
}
