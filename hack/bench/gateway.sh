# The scenario gateway; a part of run.sh.

export LOGPIPELINE_REDIS_PORT="${LOGPIPELINE_REDIS_PORT:-26379}"
# Clients that each wait for their answer.
clients=32
# wrk's own threads: the rest of a small machine is for what is measured.
threads=1

install_tools() {
  local missing=()
  command -v nginx >/dev/null || missing+=(nginx-light)
  command -v wrk >/dev/null || missing+=(wrk)
  [ ${#missing[@]} = 0 ] || { echo "missing; on Debian or Ubuntu: apt-get install ${missing[*]}" >&2; exit 1; }
}

# free_port: one that nothing listens at now.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# nginx NAME PORT: runs one of one worker with the http block of the standard input; sets master and worker.
nginx_server() {
  local name=$1 port=$2 home="$dir/nginx-$1"
  mkdir -p "$home"
  {
    cat <<EOT
daemon off;
worker_processes 1;
pid $home/pid;
error_log $home/error.log warn;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path $home/body; proxy_temp_path $home/proxy; fastcgi_temp_path $home/fastcgi;
  uwsgi_temp_path $home/uwsgi; scgi_temp_path $home/scgi;
  client_body_buffer_size 64k; keepalive_requests 1000000000;
EOT
    cat
    echo '}'
  } >"$home/nginx.conf"
  nginx -e "$home/error.log" -p "$home" -c "$home/nginx.conf" &
  master=$!
  running[$master]=1
  until curl -so /dev/null "http://127.0.0.1:$port/"; do lives "$master"; sleep 0.05; done
  worker=$(cat "/proc/$master/task/$master/children")
  worker=${worker% }
}

# What stands in for the producers: it reads the body, accepts it, and says how many events it had.
start_upstream() {
  upstream_port=$(free_port)
  nginx_server upstream "$upstream_port" <<EOF2
  map \$content_length \$events { "~^[0-9]{1,3}\$" 1; default 100; }
  server {
    listen 127.0.0.1:$upstream_port;
    location = /api/v1/logs { add_header logpipeline-events \$events; return 202 '{"accepted":1}'; }
  }
EOF2
}

# The plain proxy: no token is looked at, nothing is limited.
start_proxy() {
  proxy_port=$(free_port)
  nginx_server proxy "$proxy_port" <<EOF2
  upstream producers { server 127.0.0.1:$upstream_port; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:$proxy_port;
    location / { proxy_pass http://producers; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off; }
  }
EOF2
  proxy=$worker
}

# Tokens are checked, and each write takes its events from a limit in Redis that is never used up. Kafka and PostgreSQL, which
# writes do not need, are not there.
start_gateway() {
  local secret
  secret=$(openssl rand -hex 32)
  echo '{"organizations":{"*":{"write":{"perSecond":1000000000,"burst":1000000000}}}}' >"$dir/limits.json"
  brokers=127.0.0.1:1
  service gateway events LOGPIPELINE_JWT_SECRET="$secret" LOGPIPELINE_DATABASE_URL=postgres://nobody@127.0.0.1:1/none \
    LOGPIPELINE_PRODUCER_URL="http://127.0.0.1:$upstream_port" LOGPIPELINE_REDIS_URL="$(hack/redis.sh up)" \
    LOGPIPELINE_RATE_LIMITS_FILE="$dir/limits.json"
  address open
  gateway=$pid gateway_address=$address
  address 'health and metrics'
  gateway_admin=$address
  # It looks for its store once before it answers.
  until curl -so /dev/null --max-time 1 "http://$gateway_address/"; do lives "$gateway"; done
  token=$(token "$secret")
}

# body EVENTS: a wrk script that posts so many events with the token.
body() {
  local event='{"organizationId":"acme","service":"checkout","level":"INFO","message":"an event of a usual length, with a few words"}'
  cat >"$dir/post-$1.lua" <<EOF2
local events = {}
for n = 1, $1 do events[n] = '$event' end
wrk.method = "POST"
wrk.body = $1 == 1 and events[1] or "[" .. table.concat(events, ",") .. "]"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer $token"
function done(summary, latency)
  local errors = summary.errors
  print(string.format("requests=%d seconds=%.3f p50=%.3f p99=%.3f errors=%d", summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
EOF2
}

# ask ADDRESS EVENTS PID: sends as fast as it answers; sets said, rate and million (CPU seconds a million requests).
ask() {
  local before after
  before=$(cpu "$3")
  said=$(wrk --threads "$threads" --connections "$clients" --duration "${seconds}s" --timeout 10s \
    --script "$dir/post-$2.lua" "http://$1/api/v1/logs" | tail -n 1)
  after=$(cpu "$3")
  [ "$(field errors "$said")" = 0 ] || { echo "not all were accepted: $said" >&2; exit 1; }
  rate=$(quotient "$(field requests "$said")" "$(field seconds "$said")")
  million=$(per_million "$after" "$before" "$(field requests "$said")")
}

# door_run EVENTS RUN: the plain proxy, then the gateway, before the same upstream.
door_run() {
  local events=$1 run=$2 plain_rate plain_million
  ask "127.0.0.1:$proxy_port" "$events" "$proxy"
  plain_rate=$rate plain_million=$million
  door_result nginx
  ask "$gateway_address" "$events" "$gateway"
  door_result gateway rate_of_nginx "$(quotient "$rate" "$plain_rate")" cpu_of_nginx "$(quotient "$million" "$plain_million")"
}

door_result() {
  local measured=$1; shift
  result "gateway-$events" "$run" "$measured" "$(($(field requests "$said") * events))" "$(field seconds "$said")" \
    requests_per_second "${rate%.*}" p50_ms "$(field p50 "$said")" p99_ms "$(field p99 "$said")" \
    cpu_seconds_per_million_requests "$million" "$@"
}

# Decisions of Redis as a part of all: that the limits were really kept there.
decided_by_redis() {
  curl -sf "http://$gateway_admin/metrics" | awk '/^logpipeline_rate_limit_decisions_total/ { all += $2; if (/by="redis"/) redis += $2 }
    END { printf "decided by Redis: %.4f of %d\n", all ? redis / all : 0, all }'
}

measure_door() {
  local run events
  install_tools
  cargo build --locked --release --quiet --workspace --all-features --bin logpipeline-gateway
  start_upstream
  start_proxy
  start_gateway
  for events in 1 100; do
    body "$events"
    for run in $(seq "$runs"); do door_run "$events" "$run"; done
  done
  decided_by_redis
  summary
}
