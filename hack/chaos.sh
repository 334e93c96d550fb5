#!/usr/bin/env bash
# The data path on real parts under random faults; see usage below.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
Usage: hack/chaos.sh --seed N [--for 120s] [--brokers 1|3] [--organisations N] [--clients N]

Starts three Kafka brokers, PostgreSQL, two producers and up to three consumers, sends events, and meanwhile kills,
freezes and locks what the seed says, and cuts the network or lets it swallow everything. Then everything is made whole, and
what became of every event is counted:

  acknowledged=… stored=… dead_lettered=… lost=… duplicated=… out_of_order=…

The exit code is 0 only when nothing is lost, doubled or out of order. The same seed gives the same plan. Brokers and
database are of its own: LOGPIPELINE_KAFKA_PORT (default 19392), LOGPIPELINE_POSTGRES_PORT (default 25433). The proxies
before the brokers listen 1000 above them.
EOF
}

case "${1:-}" in -h | --help | '') usage; exit ;; esac

export LOGPIPELINE_KAFKA_PORT="${LOGPIPELINE_KAFKA_PORT:-19392}" LOGPIPELINE_POSTGRES_PORT="${LOGPIPELINE_POSTGRES_PORT:-25433}"
profile="${LOGPIPELINE_CHAOS_PROFILE:-release}"
echo "building ($profile)" >&2
cargo build --locked --quiet --profile "$profile" -p producer -p consumer -p fault-tests \
  --features producer/service,consumer/service,fault-tests/real
[ "$profile" != dev ] || profile=debug
end() {
  hack/kafka.sh down 2>/dev/null || true
  hack/postgres.sh down 2>/dev/null || true
}
trap end EXIT
"${CARGO_TARGET_DIR:-target}/$profile/chaos" "$@"
