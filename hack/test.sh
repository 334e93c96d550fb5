#!/usr/bin/env bash
# Installs what the tests need and runs them; see usage below.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
Usage: hack/test.sh [SUITE...]

Runs the suites named, or all of them. Can be run any number of times; what is missing is installed first
(Debian and Ubuntu, as root or with sudo) or named with the command that installs it.

  fast         format, lints, layout and unit tests: the everyday loop
  unit         fast, and documentation, licences and sources of dependencies
  integration  real processes on embedded parts, real Kafka, PostgreSQL and Redis: crashes, outages, bad input, limits;
                the API fuzzed by its OpenAPI document
               (LOGPIPELINE_TEST_SOAK: how long one of the outages lasts, 60s unless set)
  browser      the web page in headless Chromium
  alerts       the alert rules: their syntax, when they fire and when not; then each fault on a running system, and what a
               real Prometheus tells of it; dashboards and docs/metrics.md against what the services show
  operator     the control path   (nothing to run yet: there is no operator in the tree)
  e2e          a whole cluster    (nothing to run yet: there is no operator in the tree)
EOF
}

# Tools built for the tests are kept here, outside the tree, and built anew when missing.
cache="${LOGPIPELINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/logpipeline}"
begun=$SECONDS
left_out=()

say() { printf '\n\033[1m[%4ds] %s\033[0m\n' "$((SECONDS - begun))" "$*"; }
run() { say "$*"; "$@"; }
fail() { printf '\nhack/test.sh: %s\n' "$*" >&2; exit 1; }
leave_out() { left_out+=("$*"); say "left out: $*"; }

# install COMMAND PACKAGE...: Debian packages that bring a command.
install() {
  local command=$1; shift
  command -v "$command" >/dev/null && return
  install_packages "$@"
  command -v "$command" >/dev/null || fail "$command is still missing after installing $*"
}

install_packages() {
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  if ! command -v apt-get >/dev/null || { [ -n "$sudo" ] && ! command -v sudo >/dev/null; }; then
    fail "missing: $*. On Debian or Ubuntu: apt-get install $*"
  fi
  say "installing $*"
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

need_rust() {
  command -v cargo >/dev/null || fail "cargo is missing. Install Rust: https://rustup.rs"
  install cc gcc libc6-dev
  cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 ||
    rustup component add rustfmt clippy || fail "rustfmt or clippy is missing: rustup component add rustfmt clippy"
}

# What librdkafka is built with, beyond a C compiler.
need_librdkafka() {
  install make make
  # librdkafka's configure script looks for a C++ compiler too.
  install c++ g++
  install pkg-config pkg-config
  pkg-config --exists openssl || install_packages libssl-dev
}

fast() {
  need_librdkafka
  run cargo fmt --all --check
  run cargo clippy --locked --workspace --all-targets --all-features --quiet -- -D warnings
  run cargo test --locked --workspace --all-features --exclude browser-tests --lib --bins --quiet
  run cargo test --locked -p layout-tests --quiet
}

unit() {
  fast
  run cargo test --locked --workspace --all-features --exclude browser-tests --doc --quiet
  RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" run cargo doc --locked --workspace --all-features --no-deps --document-private-items --quiet
  dependencies
}

dependencies() {
  local deny="$cache/tools/bin/cargo-deny"
  if ! [ -x "$deny" ]; then
    say "building cargo-deny, once, into $cache/tools"
    cargo install --quiet --locked --root "$cache/tools" --version '^0.20' cargo-deny ||
      { leave_out "licences and sources of dependencies: cargo-deny could not be built"; return; }
  fi
  run "$deny" --log-level error check licenses bans sources
  say "$deny check advisories"
  "$deny" --log-level error check advisories 2>"$cache/advisories.log" || {
    if grep -qiE 'fetch|clone|resolve|connect|advisory database' "$cache/advisories.log"; then
      leave_out "advisories: the database could not be fetched"
    else
      cat "$cache/advisories.log" >&2
      fail "a dependency has an advisory"
    fi
  }
}

integration() {
  need_librdkafka
  # The programs that the tests start.
  run cargo build --locked --workspace --all-features --exclude browser-tests
  run real_parts
  run cargo test --locked --workspace --all-features --exclude browser-tests --exclude layout-tests --exclude alert-tests --test '*'
  fuzz_api
}

# What the OpenAPI document allows, and much that it does not, sent to a running pipeline.
fuzz_api() {
  local ended=0
  run hack/fuzz-api.sh || ended=$?
  case "$ended" in
    0) ;;
    3) leave_out "fuzzing of the API: Schemathesis could not be installed" ;;
    *) fail "an answer is a server error, or is not as services/gateway/openapi.json says" ;;
  esac
}

# Brokers, a database and a Redis of the tests' own, left running for the next time; hack/kafka.sh down, hack/postgres.sh
# down and hack/redis.sh down end them.
real_parts() {
  local environment
  environment=$(hack/kafka.sh up)
  eval "$environment"
  LOGPIPELINE_TEST_POSTGRES=$(hack/postgres.sh up)
  export LOGPIPELINE_TEST_POSTGRES
  LOGPIPELINE_TEST_REDIS=$(hack/redis.sh up)
  export LOGPIPELINE_TEST_REDIS
}

browser() {
  install chromium chromium
  install chromedriver chromium-driver
  run cargo build --locked -p standalone
  run cargo test --locked -p browser-tests
}

alerts() {
  PATH="$(hack/prometheus.sh path):$PATH"
  run promtool check rules monitoring/alerts.yaml
  run promtool test rules monitoring/alerts_test.yaml
  need_librdkafka
  run cargo build --locked --workspace --all-features --exclude browser-tests
  run cargo test --locked --workspace --all-features --exclude browser-tests --test alerts
}

operator() { leave_out "operator: there is no operator in the tree yet"; }
e2e() { leave_out "e2e: there is no operator in the tree yet"; }

for suite in "$@"; do
  case "$suite" in
    -h | --help) usage; exit ;;
    fast | unit | integration | browser | alerts | operator | e2e) ;;
    *) usage >&2; fail "there is no suite named $suite" ;;
  esac
done
[ $# -gt 0 ] || set -- unit integration browser alerts operator e2e

mkdir -p "$cache"
need_rust
for suite in "$@"; do
  say "suite $suite ($*)"
  "$suite"
done
printf '\nAll suites passed in %d s: %s\n' "$((SECONDS - begun))" "$*"
for what in "${left_out[@]}"; do printf 'left out: %s\n' "$what"; done
