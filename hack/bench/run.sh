#!/usr/bin/env bash
# Measures the pipeline on this machine; see usage below. Not a test: nothing fails on a slow day.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'EOF'
Usage: hack/bench/run.sh [SCENARIO...] [--runs N] [--seconds S] [--events N] [--json FILE]

On embedded parts, one process:

  ingest-500         requests of 500 events: until they are durable in the topic
  ingest-1           requests of 1 event
  e2e-500            as ingest-500, until the last event is stored
  e2e-1              as ingest-1, until the last event is stored

Each run of each scenario (3 of 15 s by default) starts a pipeline of its own on a new directory and sends as fast as it
answers. Before it, the same requests go to the same HTTP server with nothing behind it: `of raw` is the ratio to that.

On a real Kafka and a real PostgreSQL, started for this and ended afterwards:

  http-to-kafka      requests of 500 events to logpipeline-producer, until Kafka has them; beside librdkafka alone, which
                     writes the same keys and payloads with the same settings
  topic-to-postgres  logpipeline-consumer, one process and two, from a filled topic until the last row is stored; beside
                     COPY BINARY of the very same rows into the same tables: in pieces as large as the consumer's
                     transactions, by 1 and by 6 connections, and in one piece

Each run (3 by default) takes at least --events events (1000000) of 500 organisations, made by `logpipeline generate` and sent
through gateway and producer.

On a real Redis, started for this and ended afterwards:

  gateway            requests of 1 and of 100 events to logpipeline-gateway, which checks a token (HS256) and takes the events
                     from a limit in Redis; beside nginx as a plain proxy with one worker, which does neither. The upstream
                     of both is an nginx that accepts everything. Each run of each of the four takes --seconds

  events/s           events acknowledged (ingest, http-to-kafka) or stored a second
  p50, p99           time of a request in ms, from when it was due
  cpu s/M            CPU seconds a million events of the pipeline's processes, the figure that noise spares
  postgres s/M       the same of all processes of PostgreSQL
  peak MiB           resident memory of the largest of the pipeline's processes
  cpu of nginx       CPU seconds a request as a multiple of the plain proxy's in the same run
  of raw, of …       events/s as a part of the limit measured in the same run

--json FILE appends an object a measurement. LOGPIPELINE_BENCH_DIR names the directory that holds the data (default: TMPDIR
or /tmp), LOGPIPELINE_KAFKA_PORT (19492), LOGPIPELINE_POSTGRES_PORT (25434) and LOGPIPELINE_REDIS_PORT (26379) where the real parts are.
EOF
}

runs=3 seconds=15 events=1000000 json=/dev/null embedded=() real=() door=()
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) usage; exit ;;
    --runs) runs=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --events) events=$2; shift ;;
    --json) json=$2; shift ;;
    ingest-500 | ingest-1 | e2e-500 | e2e-1) embedded+=("$1") ;;
    http-to-kafka | topic-to-postgres) real+=("$1") ;;
    gateway) door=(gateway) ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
if [ ${#embedded[@]} = 0 ] && [ ${#real[@]} = 0 ] && [ ${#door[@]} = 0 ]; then
  embedded=(ingest-500 ingest-1 e2e-500 e2e-1) real=(http-to-kafka topic-to-postgres) door=(gateway)
fi

programs="${CARGO_TARGET_DIR:-target}/release"
bin="$programs/logpipeline"
ticks=$(getconf CLK_TCK)
dir=$(mktemp -d "${LOGPIPELINE_BENCH_DIR:-${TMPDIR:-/tmp}}/logpipeline-bench.XXXXXX")
# Processes that run, by their ids.
declare -A running=()
end() {
  local pid
  for pid in "${!running[@]}"; do kill "$pid" 2>/dev/null || true; done
  [ ${#real[@]} = 0 ] || end_parts
  [ ${#door[@]} = 0 ] || hack/redis.sh down 2>/dev/null || true
  rm -rf "$dir"
}
trap end EXIT

field() { sed -nE "s/.*\b$1=([0-9.]+).*/\1/p" <<<"$2"; }

# cpu PID...: CPU seconds of the processes so far.
cpu() {
  local pid
  for pid in "$@"; do cat "/proc/$pid/stat"; done |
    awk -v ticks="$ticks" '{ sub(/.*\) /, ""); sum += $12 + $13 } END { printf "%.2f", sum / ticks }'
}

# end_process PID: asks it to end, and waits until it has.
end_process() {
  unset "running[$1]"
  kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

echo "building" >&2
. hack/bench/embedded.sh
. hack/bench/real.sh
. hack/bench/gateway.sh
[ ${#embedded[@]} = 0 ] || measure_embedded
[ ${#real[@]} = 0 ] || measure_real
[ ${#door[@]} = 0 ] || measure_door
