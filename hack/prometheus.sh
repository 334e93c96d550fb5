#!/usr/bin/env bash
# Prometheus for tests and development on this machine; see usage below.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
Usage: hack/prometheus.sh path
       hack/prometheus.sh config COMPONENT=ADDRESS...

  path    prints the directory of prometheus and promtool; takes them out of their package when they are missing (Debian and
          Ubuntu; installed as a whole, the package would run a service)
  config  prints a configuration that scrapes these addresses, with the label that the operator's ServiceMonitors set

  LOGPIPELINE_RULES     file of alert rules (default monitoring/alerts.yaml)
  LOGPIPELINE_INTERVAL  how often it scrapes and looks at the rules (default 5s)
  LOGPIPELINE_CACHE     where Prometheus is kept
EOF
}

cache="${LOGPIPELINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/logpipeline}"

fail() { printf 'hack/prometheus.sh: %s\n' "$*" >&2; exit 1; }

path() {
  local home="$cache/tools/prometheus" installed sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  if installed=$(command -v promtool) && command -v prometheus >/dev/null; then
    dirname "$installed"
    return
  fi
  if ! [ -x "$home/usr/bin/promtool" ]; then
    command -v apt-get >/dev/null || fail "missing: prometheus and promtool. See https://prometheus.io/download/"
    printf 'hack/prometheus.sh: unpacking Prometheus into %s\n' "$home" >&2
    apt-cache show prometheus >/dev/null 2>&1 || $sudo apt-get update -qq >&2
    mkdir -p "$home"
    (cd "$home" && apt-get download -qq prometheus >&2 && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb)
  fi
  echo "$home/usr/bin"
}

config() {
  local rules target
  rules=$(realpath "${LOGPIPELINE_RULES:-monitoring/alerts.yaml}")
  cat <<EOF
global: { scrape_interval: ${LOGPIPELINE_INTERVAL:-5s}, evaluation_interval: ${LOGPIPELINE_INTERVAL:-5s} }
rule_files: ["$rules"]
scrape_configs:
  - job_name: logpipeline
    static_configs:
EOF
  for target in "$@"; do
    echo "      - { targets: [\"${target#*=}\"], labels: { component: ${target%%=*} } }"
  done
}

case "${1:-}" in
  path) path ;;
  config) shift; config "$@" ;;
  -h | --help) usage ;;
  *) usage >&2; fail "there is no command ${1:-at all}" ;;
esac
