# The scenario http-to-kafka; a part of run.sh.

# Many clients, each of which waits for its answer: with 8 of them the time that a request waits for others to share its
# batch (linger.ms) is what is measured, while librdkafka alone has 200,000 records in flight.
connections=64

http_to_kafka() {
  local run=$1 posted raw million peak rate limit
  "$replay" make "$brokers" "posted-$run" "written-$run"
  raw=$("$replay" write "$brokers" events "$events" "written-$run")
  service producer "posted-$run"
  address 'taking events'
  posted=$("$replay" post "$brokers" events "$events" "http://$address" "$connections")
  million=$(per_million "$(cpu "$pid")" 0 "$events") peak=$(peak_mib "$pid")
  end_process "$pid"
  rate=$(quotient "$events" "$(field seconds "$posted")") limit=$(quotient "$events" "$(field seconds "$raw")")
  result http-to-kafka "$run" librdkafka "$events" "$(field seconds "$raw")" \
    cpu_seconds_per_million "$(per_million "$(field cpu "$raw")" 0 "$events")"
  result http-to-kafka "$run" producer "$events" "$(field seconds "$posted")" \
    cpu_seconds_per_million "$million" peak_mib "$peak" of_librdkafka "$(quotient "$rate" "$limit")"
}
