# The scenario topic-to-postgres; a part of run.sh.

# drain DATABASE CONSUMERS: the consumers store the topic into a new database; sets seconds_taken, million, postgres_million and
# peak. The clock starts when nothing was stored yet, as seen last.
drain() {
  local database=$1 number postgres_before begun stored=0 pids=() answers questions
  new_database "$database"
  postgres_before=$(postgres_cpu)
  for number in $(seq "$2"); do
    service consumer events LOGPIPELINE_DATABASE_URL="${server_url%/*}/$database" LOGPIPELINE_KAFKA_GROUP="$database"
    pids+=("$pid")
  done
  until [ "$(echo "SELECT to_regclass('consumer_offsets') IS NOT NULL" | sql "$database")" = t ]; do
    lives "${pids[@]}"
    begun=$EPOCHREALTIME
  done
  # One session for all looks: a new one for each would take a good part of a processor.
  coproc session { sql "$database"; }
  answers=${session[0]} questions=${session[1]}
  while [ "$stored" -lt "$filled" ]; do
    [ "$stored" != 0 ] || begun=$EPOCHREALTIME
    sleep 0.05
    lives "${pids[@]}"
    echo 'SELECT coalesce(sum(next_offset - start_offset), 0) FROM consumer_offsets;' >&"$questions"
    read -r stored <&"$answers"
  done
  seconds_taken=$(since "$begun")
  million=$(per_million "$(cpu "${pids[@]}")" 0 "$filled") peak=$(peak_mib "${pids[@]}")
  postgres_million=$(per_million "$(postgres_cpu)" "$postgres_before" "$filled")
  exec {questions}>&-
  wait "$session_PID"
  for pid in "${pids[@]}"; do end_process "$pid"; done
}

# pieces DATABASE: writes its rows to files, as they lie there: all of them, and in pieces as large as the consumer's
# transactions were; its tables too.
pieces() {
  local database=$1 rows number=0
  [ ! -d "$dir/pieces" ] || return 0
  mkdir "$dir/pieces"
  pg_dump --schema-only --no-owner "${server_url%/*}/$database" >"$dir/tables.sql"
  # recent_ids has a row a transaction, for the last of each partition.
  rows=$(sql "$database" <<<'SELECT round(avg(octet_length(ids) / 24)) FROM recent_ids')
  echo "rows a transaction of the consumer: $rows" >&2
  {
    echo 'SET synchronize_seqscans = off;'
    echo "CREATE TABLE numbered AS SELECT row_number() OVER () AS number, * FROM logs;"
    echo 'CREATE INDEX ON numbered (number);'
    echo "\\copy (SELECT $columns FROM numbered ORDER BY number) TO '$dir/whole' (FORMAT binary)"
    while [ $((number * rows)) -lt "$filled" ]; do
      printf "\\\\copy (SELECT %s FROM numbered WHERE number > %d AND number <= %d ORDER BY number) TO '%s/pieces/%06d' (FORMAT binary)\n" \
        "$columns" $((number * rows)) $(((number + 1) * rows)) "$dir" "$number"
      number=$((number + 1))
    done
    echo 'DROP TABLE numbered;'
  } | sql "$database"
}

# copy DATABASE CONNECTIONS FILE...: into a new database with the same tables; sets seconds_taken and postgres_million.
copy() {
  local database=$1 connections=$2 number begun before pids=() files; shift 2
  files=("$@")
  new_database "$database"
  sql "$database" <"$dir/tables.sql" >/dev/null
  for number in $(seq 0 $((connections - 1))); do
    for ((file = number; file < ${#files[@]}; file += connections)); do
      echo "\\copy logs ($columns) FROM '${files[file]}' (FORMAT binary)"
    done >"$dir/copy-$number.sql"
  done
  before=$(postgres_cpu) begun=$EPOCHREALTIME
  for number in $(seq 0 $((connections - 1))); do
    sql "$database" <"$dir/copy-$number.sql" &
    pids+=("$!")
  done
  for number in "${pids[@]}"; do wait "$number"; done
  seconds_taken=$(since "$begun")
  postgres_million=$(per_million "$(postgres_cpu)" "$before" "$filled")
  [ "$(sql "$database" <<<'SELECT count(*) FROM logs')" = "$filled" ] || { echo "rows are missing in $database" >&2; exit 1; }
  drop_database "$database"
}

topic_to_postgres() {
  local run=$1 consumers how seconds_of=() million_of=() postgres_of=() peak_of=()
  local -A limit
  for consumers in 1 2; do
    drain "consumers_${run}_$consumers" "$consumers"
    seconds_of[consumers]=$seconds_taken million_of[consumers]=$million
    postgres_of[consumers]=$postgres_million peak_of[consumers]=$peak
    pieces "consumers_${run}_$consumers"
    drop_database "consumers_${run}_$consumers"
  done
  for how in pieces-1 "pieces-$sessions" whole-1; do
    case "$how" in
      pieces-*) copy "copy_$run" "${how#*-}" "$dir"/pieces/* ;;
      whole-*) copy "copy_$run" 1 "$dir/whole" ;;
    esac
    limit[$how]=$seconds_taken
    result topic-to-postgres "$run" "COPY $how" "$filled" "$seconds_taken" postgres_cpu_seconds_per_million "$postgres_million"
  done
  for consumers in 1 2; do
    result topic-to-postgres "$run" "consumers $consumers" "$filled" "${seconds_of[consumers]}" \
      cpu_seconds_per_million "${million_of[consumers]}" \
      postgres_cpu_seconds_per_million "${postgres_of[consumers]}" peak_mib "${peak_of[consumers]}" \
      of_copy_pieces_1 "$(quotient "${limit[pieces-1]}" "${seconds_of[consumers]}")" \
      "of_copy_pieces_$sessions" "$(quotient "${limit[pieces-$sessions]}" "${seconds_of[consumers]}")" \
      of_copy_whole "$(quotient "${limit[whole-1]}" "${seconds_of[consumers]}")"
  done
}
