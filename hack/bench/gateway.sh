# The scenario gateway; a part of run.sh.

# Both pass the same requests, with a token each, on to the same upstream: a server that takes a request and says 202. So it is
# the way through that is measured.
clients=64
redis_port="${LOGPIPELINE_REDIS_PORT:-16399}"

install_peer() {
  local missing=()
  command -v nginx >/dev/null || missing+=(nginx-light)
  command -v wrk >/dev/null || missing+=(wrk)
  [ ${#missing[@]} = 0 ] && return
  echo "installing ${missing[*]}" >&2
  # RUNLEVEL=1: its own service is not started, nothing here touches a server that is not ours.
  RUNLEVEL=1 apt-get install -y --no-install-recommends "${missing[@]}" >&2 ||
    { echo "install ${missing[*]} first" >&2; exit 1; }
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# nginx_server NAME PORT LINES: one worker with the lines in its server; sets pid to the worker's.
nginx_server() {
  local name=$1 port=$2 lines=$3 master
  mkdir -p "$dir/$name"
  cat >"$dir/$name.conf" <<CONF
daemon off; worker_processes 1; pid $dir/$name/pid; error_log $dir/$name/error.log;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path $dir/$name/body; proxy_temp_path $dir/$name/proxy; fastcgi_temp_path $dir/$name/f;
  uwsgi_temp_path $dir/$name/u; scgi_temp_path $dir/$name/s; keepalive_requests 100000000;
  upstream behind { server 127.0.0.1:$upstream_port; keepalive $clients; keepalive_requests 100000000; }
  server { listen 127.0.0.1:$port; $lines }
}
CONF
  nginx -e "$dir/$name/error.log" -c "$dir/$name.conf" &
  master=$!
  running[$master]=1
  until pid=$(cat "/proc/$master/task/$master/children" 2>/dev/null) && [ -n "$pid" ]; do
    lives "$master"
    sleep 0.05
  done
  pid=${pid%% *}
}

# A connection to an upstream that is not there for Kafka and the database: writes need neither.
gateway_service() {
  local secret=$1 redis
  redis=$(LOGPIPELINE_REDIS_PORT=$redis_port hack/redis.sh up)
  echo '{"default":{"write":{"perSecond":10000000,"burst":10000000}}}' >"$dir/limits.json"
  log="$dir/gateway.log"
  env LOGPIPELINE_LISTEN=127.0.0.1:0 LOGPIPELINE_ADMIN_LISTEN=127.0.0.1:0 LOGPIPELINE_LOG_FORMAT=text LOGPIPELINE_DRAIN_DELAY=0s \
    LOGPIPELINE_JWT_SECRET="$secret" LOGPIPELINE_GATEWAY_KEY="$LOGPIPELINE_GATEWAY_KEY" LOGPIPELINE_REDIS_URL="$redis" \
    LOGPIPELINE_RATE_LIMITS_FILE="$dir/limits.json" LOGPIPELINE_PRODUCER_URL="http://127.0.0.1:$upstream_port" \
    LOGPIPELINE_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1 LOGPIPELINE_DATABASE_URL=postgres://nobody@127.0.0.1:1/nothing \
    "$programs/logpipeline-gateway" >"$log" 2>&1 &
  pid=$!
  running[$pid]=1
  address open
}

# load RUN MEASURED PID ADDRESS: sends for so many seconds, and notes what it took; sets million and rate.
load() {
  local run=$1 measured=$2 pid=$3 address=$4 before after out requests failed p99
  wrk -t1 -c"$clients" -d2s -s "$dir/request.lua" "http://$address/api/v1/logs" >/dev/null
  before=$(cpu "$pid")
  out=$(wrk -t1 -c"$clients" -d"${seconds}s" --latency -s "$dir/request.lua" "http://$address/api/v1/logs")
  after=$(cpu "$pid")
  requests=$(awk '/requests in/ { print $1 }' <<<"$out")
  failed=$(awk '/Non-2xx/ { print $NF }' <<<"$out")
  [ -z "$failed" ] || { echo "$failed of $requests requests failed at $measured" >&2; tail -n 5 "$dir"/*.log >&2; exit 1; }
  p99=$(awk '/99%/ { v = $2; print v ~ /us$/ ? v / 1000 : v ~ /ms$/ ? v + 0 : v * 1000 }' <<<"$out")
  million=$(per_million "$after" "$before" "$requests")
  rate=$(per_second "$requests" "$seconds")
  note "$scenario" "$run" "$measured" requests_per_second "$rate" p99_ms "$p99" cpu_seconds_per_million "$million"
}

measure_gateway() {
  local scenario run secret plain plain_rate million rate
  cargo build --locked --release --quiet --workspace --all-features --bins
  install_peer
  upstream_port=$(free_port)
  nginx_server upstream "$upstream_port" 'location / { default_type application/json; return 202 "{\"accepted\":1,\"rejected\":[]}"; }'
  local proxy_port; proxy_port=$(free_port)
  nginx_server proxy "$proxy_port" 'location / { proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ""; }'
  local proxy=$pid
  secret=$(openssl rand -hex 32)
  gateway_service "$secret"
  local gateway=$pid gateway_address=$address
  local event='{"id":"01936d3c-5a00-7000-8000-000000000001","timestamp":"2026-01-31T12:00:00Z","level":"INFO","service":"checkout","message":"order 4711 was paid by card in 312 ms","attributes":{"orderId":"4711","region":"eu-central-1","took":312}}'
  for scenario in gateway-1 gateway-100; do
    local body=$event n
    if [ "$scenario" = gateway-100 ]; then for n in $(seq 99); do body+="\\n$event"; done; fi
    cat >"$dir/request.lua" <<LUA
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-ndjson"
wrk.headers["Authorization"] = "Bearer $(token "$secret")"
wrk.body = '$body'
LUA
    for run in $(seq "$runs"); do
      load "$run" nginx "$proxy" "127.0.0.1:$proxy_port"
      plain=$million plain_rate=$rate
      load "$run" gateway "$gateway" "$gateway_address"
      note "$scenario" "$run" gateway/nginx requests "$(quotient "$rate" "$plain_rate")" cpu "$(quotient "$million" "$plain")"
    done
  done
  summary
  LOGPIPELINE_REDIS_PORT=$redis_port hack/redis.sh down
}
