#!/usr/bin/env bash
# Sends a running pipeline whatever its OpenAPI document allows and much that it does not, and fails when an answer is a
# server error or is not as the document says. See usage below.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOF'
Usage: hack/fuzz-api.sh [EXAMPLES]

Starts target/debug/logpipeline on a directory of its own and runs Schemathesis against it, with so many examples for
each operation (30 unless given). Exits with 0 when nothing was found, with 3 when there is no Python or Schemathesis
cannot be installed.

  LOGPIPELINE_CACHE  where Schemathesis is installed, once [default ~/.cache/logpipeline]
EOF
}

# Pinned, so that what is found depends on the pipeline alone.
version=4.32.5
unusable=3

case "${1:-30}" in
  *[!0-9]*) usage >&2; exit 2 ;;
esac
examples=${1:-30}
binary="${CARGO_TARGET_DIR:-target}/debug/logpipeline"
cache="${LOGPIPELINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/logpipeline}/schemathesis-$version"
fuzzer="$cache/bin/schemathesis"

if ! [ -x "$fuzzer" ]; then
  command -v python3 >/dev/null || { echo "hack/fuzz-api.sh: there is no python3" >&2; exit "$unusable"; }
  # pip and venv are packages of their own on Debian, and the registry may be out of reach.
  { python3 -m venv "$cache" && "$cache/bin/pip" install --quiet "schemathesis==$version"; } >&2 ||
    { rm -rf "$cache"; echo "hack/fuzz-api.sh: Schemathesis cannot be installed" >&2; exit "$unusable"; }
fi
[ -x "$binary" ] || { echo "hack/fuzz-api.sh: $binary is missing: cargo build" >&2; exit 1; }

work=$(mktemp -d)
pipeline=
finish() {
  [ -z "$pipeline" ] || { kill "$pipeline" && wait "$pipeline"; } 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

"$binary" --listen 127.0.0.1:0 --demo 0 --data-dir "$work/data" >"$work/out" 2>&1 &
pipeline=$!
url=
for _ in $(seq 100); do
  url=$(sed -n 's|.*\(http://127\.0\.0\.1:[0-9]*\)/.*|\1|p' "$work/out" | head -n 1)
  [ -z "$url" ] || break
  kill -0 "$pipeline" || break
  sleep 0.1
done
[ -n "$url" ] || { cat "$work/out" >&2; echo "hack/fuzz-api.sh: the pipeline did not start" >&2; exit 1; }
token=$("$binary" token --data-dir "$work/data" --organisation acme)

# The live tail has no end. What is accepted or refused beyond the document's words (names that syslog has for a level,
# a range with too many intervals) is the tests' to judge.
# It runs in its own directory, since it keeps notes where it is.
document=$PWD/services/gateway/openapi.json
found=0
(cd "$work" && "$fuzzer" run "$document" --url "$url" --header "Authorization: Bearer $token" \
  --exclude-path /api/v1/tail --exclude-checks negative_data_rejection,positive_data_acceptance \
  --max-examples "$examples" --request-timeout 10 --continue-on-failure --workers 2 --no-color --warnings off \
  >"$work/report" 2>&1) || found=$?
# Bodies of the fuzzer can have megabytes.
cut -c 1-400 "$work/report" | tail -n 200
kill -0 "$pipeline" || { tail -n 50 "$work/out" >&2; echo "hack/fuzz-api.sh: the pipeline has ended" >&2; exit 1; }
exit "$((found == 0 ? 0 : 1))"
