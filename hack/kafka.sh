#!/usr/bin/env bash
# Starts, stops and breaks real Kafka brokers on this machine; see usage below.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'USAGE'
Usage: hack/kafka.sh up [--brokers 1|3] | down | status | env
       hack/kafka.sh stop|cont|kill|start N...
       hack/kafka.sh topic NAME PARTITIONS
       hack/kafka.sh delete TOPIC...

Kafka in KRaft mode on loopback, without containers. Can be run any number of times; what is missing is installed first
(Debian and Ubuntu, as root or with sudo) or named with the command that installs it.

  up      starts the brokers and waits until they serve; does nothing when they do
  down    ends them and deletes what they stored
  status  a line a broker; exit code 0 when all of them serve
  env     prints what tests want to know, for eval
  stop    freezes brokers (SIGSTOP); cont lets them go on
  kill    ends brokers at once (SIGKILL); start brings them back with what they stored
  topic   makes a topic, unless it is there
  delete  deletes topics

LOGPIPELINE_KAFKA_PORT (19092)   broker N listens at this port + N - 1; 20 above for TLS, 40 for SASL, 60 for both, and 80
                                 for the controllers. Each port is a cluster of its own.
                                 It also listens 10 above, for a proxy: whoever asks there is sent on to 1000 above, where
                                 the proxy listens, if a test starts one. Brokers talk to each other past it
LOGPIPELINE_CACHE                where Kafka's jars and the clusters are kept
USAGE
}

version=4.3.1
log4j=2.25.5
port="${LOGPIPELINE_KAFKA_PORT:-19092}"
cache="${LOGPIPELINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/logpipeline}"
libs="$cache/kafka/libs-$version"
dir="$cache/kafka/cluster-$port"
user=pipeline password=pipeline-secret
ready_within=90
begun=$SECONDS

say() { printf '[%3ds] %s\n' "$((SECONDS - begun))" "$*" >&2; }
fail() { printf 'hack/kafka.sh: %s\n' "$*" >&2; exit 1; }

# install COMMAND PACKAGE...: Debian packages that bring a command.
install() {
  local command=$1 sudo=; shift
  command -v "$command" >/dev/null && return
  [ "$(id -u)" = 0 ] || sudo=sudo
  if ! command -v apt-get >/dev/null || { [ -n "$sudo" ] && ! command -v sudo >/dev/null; }; then
    fail "$command is missing. On Debian or Ubuntu: apt-get install $*"
  fi
  say "installing $*"
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  command -v "$command" >/dev/null || fail "$command is still missing after installing $*"
}

# Kafka's jars, once: fetched into a temporary folder that becomes the real one when it is whole.
fetch() {
  install java default-jre-headless
  install openssl openssl
  [ -d "$libs" ] && return
  install mvn maven
  say "fetching Kafka $version from Maven Central into $libs"
  mkdir -p "$cache/kafka"
  local staging; staging=$(mktemp -d "$cache/kafka/fetch.XXXXXX")
  cat >"$staging/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>logpipeline</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$log4j</version></dependency>
  </dependencies>
</project>
POM
  mvn -q -B -f "$staging/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$staging/libs" >"$staging/mvn.log" 2>&1 ||
    { tail -n 20 "$staging/mvn.log" >&2; rm -rf "$staging"; fail "Maven could not fetch Kafka"; }
  mv -T "$staging/libs" "$libs" 2>/dev/null || [ -d "$libs" ] || fail "$libs cannot be made"
  rm -rf "$staging"
}

node() { echo "$dir/broker-$1"; }
nodes() { if [ -d "$dir" ]; then find "$dir" -maxdepth 1 -name 'broker-*' | sed 's/.*-//' | sort -n; fi; }
client_port() { echo $((port + $1 - 1)); }
behind_proxy() { echo $(($(client_port "$1") + 10)); }
proxy_port() { echo $(($(client_port "$1") + 1000)); }
# addresses PORT_OF: of all brokers, by the function that knows the port of one.
addresses() { for n in $(nodes); do printf '%s127.0.0.1:%s' "$([ "$n" = 1 ] || echo ,)" "$("$1" "$n")"; done; }

# pid N: of the broker, when the process that has it is ours.
pid() {
  local pid; pid=$(cat "$(node "$1")/pid" 2>/dev/null) || return 1
  [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$(node "$1")/server.properties" && echo "$pid"
}

# listens PID PORT: whether the process has the port.
listens() {
  local inode
  for inode in $(awk -v port="$(printf ':%04X' "$2")" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10 }' \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null); do
    find "/proc/$1/fd" -lname "socket:\[$inode\]" 2>/dev/null | grep -q . && return
  done
  return 1
}

taken() {
  awk -v port="$(printf ':%04X' "$1")" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' \
    /proc/net/tcp /proc/net/tcp6
}

serves() {
  local pid; pid=$(pid "$1") && listens "$pid" "$(client_port "$1")" &&
    grep -q 'Kafka Server started' "$(node "$1")/log" 2>/dev/null
}

certificates() {
  local tls="$dir/tls"
  mkdir -p "$tls"
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=logpipeline-test-ca \
    -keyout "$tls/ca.key" -out "$tls/ca.pem" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$tls/broker.key" -out "$tls/broker.csr" 2>/dev/null
  openssl x509 -req -in "$tls/broker.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days 3650 \
    -extfile <(echo 'subjectAltName=DNS:localhost,IP:127.0.0.1') -out "$tls/broker.crt" 2>/dev/null
  cat "$tls/broker.key" "$tls/broker.crt" "$tls/ca.pem" >"$tls/broker.pem"
}

# settings N COUNT: of broker N of COUNT.
settings() {
  local n=$1 count=$2 copies=$(($2 < 3 ? 1 : 3)) base voters
  base=$(client_port "$n")
  voters=$(for i in $(seq "$count"); do printf '%s%s@127.0.0.1:%s' "$([ "$i" = 1 ] || echo ,)" "$i" "$(($(client_port "$i") + 80))"; done)
  local at=127.0.0.1 plain="org.apache.kafka.common.security.plain.PlainLoginModule required user_$user=\"$password\";"
  local scram='org.apache.kafka.common.security.scram.ScramLoginModule required;'
  local direct="PLAINTEXT://$at:$base,SSL://$at:$((base + 20)),SASL_PLAINTEXT://$at:$((base + 40)),SASL_SSL://$at:$((base + 60))"
  cat <<PROPERTIES
process.roles=broker,controller
node.id=$n
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
listeners=$direct,PROXIED://$at:$(behind_proxy "$n"),CONTROLLER://$at:$((base + 80))
advertised.listeners=$direct,PROXIED://$at:$(proxy_port "$n")
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
log.dirs=$(node "$n")/data
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=4
offsets.topic.replication.factor=$copies
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.min.isr=1
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
ssl.keystore.type=PEM
ssl.keystore.location=$dir/tls/broker.pem
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_plaintext.plain.sasl.jaas.config=$plain
listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=$scram
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=$scram
listener.name.sasl_ssl.plain.sasl.jaas.config=$plain
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=$scram
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$scram
PROPERTIES
}

logging() {
  cat <<'YAML'
Configuration:
  status: warn
  Appenders:
    Console: { name: out, target: SYSTEM_OUT, PatternLayout: { pattern: "%d{ISO8601} %p %c{1} %m%n" } }
  Loggers:
    Root: { level: info, AppenderRef: { ref: out } }
YAML
}

# make COUNT: the files of a new cluster.
make() {
  local n
  mkdir -p "$dir"
  certificates
  logging >"$dir/log4j2.yaml"
  # 22 characters of base64, as Kafka writes a UUID.
  local id; id=$(openssl rand 16 | openssl base64 | tr '+/' '-_' | tr -d '=')
  id=A${id:1}
  for n in $(seq "$1"); do
    mkdir -p "$(node "$n")"
    settings "$n" "$1" >"$(node "$n")/server.properties"
    java -Xmx256m -Dlog4j2.configurationFile="$dir/log4j2.yaml" -cp "$libs/*" kafka.tools.StorageTool format \
      -t "$id" -c "$(node "$n")/server.properties" \
      --add-scram "SCRAM-SHA-256=[name=$user,password=$password]" \
      --add-scram "SCRAM-SHA-512=[name=$user,password=$password]" >"$(node "$n")/format.log" 2>&1 ||
      { tail -n 20 "$(node "$n")/format.log" >&2; fail "broker $n could not be formatted"; }
  done
}

launch() {
  pid "$1" >/dev/null && return
  taken "$(client_port "$1")" && fail "port $(client_port "$1") is taken by another process; choose LOGPIPELINE_KAFKA_PORT"
  : >"$(node "$1")/log"
  setsid java -Xms256m -Xmx512m -XX:+UseSerialGC -Dlog4j2.configurationFile="$dir/log4j2.yaml" \
    -cp "$libs/*" kafka.Kafka "$(node "$1")/server.properties" </dev/null >>"$(node "$1")/log" 2>&1 &
  echo $! >"$(node "$1")/pid"
}

wait_until_serving() {
  local n deadline=$((SECONDS + ready_within))
  for n in "$@"; do
    until serves "$n"; do
      pid "$n" >/dev/null || { tail -n 30 "$(node "$n")/log" >&2; fail "broker $n has ended; its log is above"; }
      [ "$SECONDS" -lt "$deadline" ] ||
        { tail -n 30 "$(node "$n")/log" >&2; fail "broker $n does not serve after $ready_within s; its log is above"; }
      sleep 0.2
    done
  done
  say "serving: broker $*"
}

up() {
  local count=1 n
  case "${1:-}" in
    '') ;;
    --brokers) count=${2:-} ;;
    *) usage >&2; fail "up knows no $1" ;;
  esac
  [[ $count =~ ^[13]$ ]] || fail "there are 1 or 3 brokers, not $count"
  fetch
  # One at a time: two that start the same cluster would disturb each other.
  mkdir -p "$cache/kafka"
  exec 9>"$cache/kafka/cluster-$port.lock"
  flock 9
  local there; there=$(nodes | wc -l)
  [ "$there" = 0 ] || [ "$there" = "$count" ] || fail "there are $there brokers at port $port: hack/kafka.sh down first"
  [ "$there" = "$count" ] || make "$count"
  for n in $(seq "$count"); do launch "$n" 9>&-; done
  # shellcheck disable=SC2046
  wait_until_serving $(seq "$count")
  environment
}

down() {
  local n pid
  for n in $(nodes); do
    pid=$(pid "$n") || continue
    kill -KILL "$pid"
    while pid "$n" >/dev/null; do sleep 0.05; done
  done
  rm -rf "$dir"
  say "there is no cluster at port $port"
}

status() {
  local n pid all=0
  [ -n "$(nodes)" ] || { echo "no cluster at port $port"; return 1; }
  for n in $(nodes); do
    if ! pid=$(pid "$n"); then echo "broker $n: ended"; all=1
    elif grep -q '^State:.*T' "/proc/$pid/status"; then echo "broker $n: stopped, pid $pid"; all=1
    elif serves "$n"; then echo "broker $n: serves at 127.0.0.1:$(client_port "$n"), pid $pid"
    else echo "broker $n: starting, pid $pid"; all=1; fi
  done
  return "$all"
}

environment() {
  echo "export LOGPIPELINE_TEST_KAFKA=$(addresses client_port)"
  echo "export LOGPIPELINE_TEST_KAFKA_BEHIND_PROXY=$(addresses behind_proxy)"
  echo "export LOGPIPELINE_TEST_KAFKA_PROXY=$(addresses proxy_port)"
  echo "export LOGPIPELINE_TEST_KAFKA_CA=$dir/tls/ca.pem"
  echo "export LOGPIPELINE_TEST_KAFKA_USER=$user"
  echo "export LOGPIPELINE_TEST_KAFKA_PASSWORD=$password"
}

topics() {
  java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$libs/*" org.apache.kafka.tools.TopicCommand \
    --bootstrap-server "$(addresses client_port)" "$@" >&2
}

topic() {
  [ $# = 2 ] || fail "which topic, and how many partitions?"
  topics --create --if-not-exists --topic "$1" --partitions "$2" || fail "$1 cannot be made"
}

delete() {
  local topic
  [ $# -gt 0 ] || fail "delete which topic?"
  for topic in "$@"; do
    topics --delete --topic "$topic" || fail "$topic cannot be deleted"
  done
}

# each VERB N...: for the brokers named.
each() {
  local verb=$1 n pid; shift
  [ $# -gt 0 ] || fail "$verb which broker?"
  for n in "$@"; do
    [ -d "$(node "$n")" ] || fail "there is no broker $n at port $port"
    case "$verb" in
      start) launch "$n"; continue ;;
      stop) signal=STOP ;;
      cont) signal=CONT ;;
      kill) signal=KILL ;;
    esac
    pid=$(pid "$n") || fail "broker $n does not run"
    kill -"$signal" "$pid"
    [ "$verb" != kill ] || while pid "$n" >/dev/null; do sleep 0.02; done
  done
  [ "$verb" != start ] || wait_until_serving "$@"
}

verb=${1:-}
[ $# = 0 ] || shift
case "$verb" in
  up) up "$@" ;;
  down) down ;;
  status) status ;;
  env) environment ;;
  topic) topic "$@" ;;
  delete) delete "$@" ;;
  stop | cont | kill | start) each "$verb" "$@" ;;
  -h | --help) usage ;;
  *) usage >&2; fail "there is no verb ${verb:-at all}" ;;
esac
