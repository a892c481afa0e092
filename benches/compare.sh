#!/usr/bin/env bash
# Claims unique names at PostgreSQL, Redis, etcd and forename on this machine, and prints how they compare.
#
#   benches/compare.sh [--install] [--rounds N] [--seconds S] [--warmup S] [--clients "1 16 64 256"]
#                      [--systems "postgres etcd1 ..."] [--keep FILE]
#
# Every system is durable (it syncs before it answers), listens on loopback, and starts on an empty directory in every
# round. The systems run one after the other, round after round, so that a noisy machine hits all alike; the table shows
# the median of the rounds. PostgreSQL is driven by its own pgbench, the others by examples/load, which also measures what
# a synced append and a round trip over loopback take alone ("floor"). --keep appends the measurements, one a line, to a
# file. All processes are ended and all files removed on exit.
#
# Needs jq, curl, PostgreSQL, Redis and etcd; --install installs the last three where Debian packages are used. POSTGRES_BIN,
# FORENAME_BIN and LOAD_BIN name other programs than those found and built.
set -euo pipefail

rounds=3 seconds=8 warmup=2 clients="1 16 64 256" keep="" install=no
systems="floor postgres redis etcd1 etcd3 forename1 forename3 forename3-final"
while (($# > 0)); do
  case "$1" in
    --install) install=yes; shift; continue ;;
    --rounds) rounds="${2:?}" ;;
    --seconds) seconds="${2:?}" ;;
    --warmup) warmup="${2:?}" ;;
    --clients) clients="${2:?}" ;;
    --systems) systems="${2:?}" ;;
    --keep) keep="${2:?}" ;;
    *) sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
  shift 2
done

cd "$(dirname "$0")/.."
source benches/common.sh

if [[ $install == yes ]]; then
  apt-get update && apt-get install --yes --no-install-recommends postgresql redis-server etcd-server etcd-client
fi
postgres_bin="${POSTGRES_BIN:-}"
if [[ -z $postgres_bin ]] && command -v pg_config >/dev/null; then postgres_bin="$(pg_config --bindir)"; fi
for found in /usr/lib/postgresql/*/bin; do
  if [[ ! -x $postgres_bin/initdb && -x $found/initdb ]]; then postgres_bin="$found"; fi
done
need jq curl
if [[ $systems == *postgres* && ! -x $postgres_bin/pgbench ]]; then fail "PostgreSQL is missing; see --install"; fi
if [[ $systems == *redis* ]] && ! command -v redis-server >/dev/null; then fail "Redis is missing; see --install"; fi
if [[ $systems == *etcd* ]] && ! command -v etcd etcdctl >/dev/null; then fail "etcd is missing; see --install"; fi

target="${CARGO_TARGET_DIR:-target}"
forename="${FORENAME_BIN:-}" load="${LOAD_BIN:-}"
# Apart, so that the node is built as it is handed out, without what the load command adds to its dependencies.
if [[ -z $forename ]]; then cargo build --quiet --profile dist --bin forename; forename="$target/dist/forename"; fi
if [[ -z $load ]]; then cargo build --quiet --profile dist --example load; load="$target/dist/examples/load"; fi

work="$(mktemp -d)"
chmod 755 "$work"
results="$work/results.tsv"
pids=()

# Ends the servers of one system, by their ids.
stop_servers() {
  local pid
  for pid in "${pids[@]}"; do kill -INT "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  pids=()
}
trap 'stop_servers; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# A port on which nothing listens, below those that the system gives to clients.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
  done
}

as_postgres=()
if ((EUID == 0)); then as_postgres=(setpriv --reuid postgres --regid postgres --clear-groups --); fi

start_postgres() {
  local dir="$1/postgres"
  postgres_port="$(free_port)"
  mkdir -p "$dir"
  if ((EUID == 0)); then chown postgres "$dir" && chmod 755 "$1"; fi
  "${as_postgres[@]}" "$postgres_bin/initdb" -D "$dir/data" -A trust -U postgres >"$1/log" 2>&1
  # Roomier than the defaults: no checkpoint falls into a run, and the index stays in memory.
  "${as_postgres[@]}" "$postgres_bin/postgres" -D "$dir/data" -h 127.0.0.1 -p "$postgres_port" -k "$dir" \
    -c max_connections=300 -c shared_buffers=512MB -c max_wal_size=8GB -c fsync=on -c synchronous_commit=on \
    >>"$1/log" 2>&1 &
  pids+=("$!")
  await "$postgres_bin/pg_isready" -h 127.0.0.1 -p "$postgres_port"
  "$postgres_bin/psql" -qX -h 127.0.0.1 -p "$postgres_port" -U postgres -c \
    'CREATE TABLE claims (name text NOT NULL UNIQUE, owner text NOT NULL, at timestamptz NOT NULL DEFAULT now())'
  cat >"$work/claim.sql" <<'SQL'
\set name random(1, 9223372036854775806)
INSERT INTO claims (name, owner) VALUES ('n' || :name::text, 'user-' || :name::text) ON CONFLICT DO NOTHING;
SQL
}

# It syncs its file of commands before it answers any command of a round of its event loop.
start_redis() {
  local port
  port="$(free_port)"
  mkdir -p "$1/redis"
  redis-server --port "$port" --bind 127.0.0.1 --dir "$1/redis" --save "" --appendonly yes --appendfsync always \
    >"$1/log" 2>&1 &
  pids+=("$!")
  nodes=("http://127.0.0.1:$port")
  await redis-cli -p "$port" ping
}

# One member, or three that know of each other.
start_etcd() {
  local dir="$1" count="$2" i peers="" client_ports=() peer_ports=()
  for ((i = 0; i < count; i++)); do
    client_ports+=("$(free_port)") peer_ports+=("$(free_port)")
    peers+="${peers:+,}n$i=http://127.0.0.1:${peer_ports[i]}"
  done
  nodes=()
  for ((i = 0; i < count; i++)); do
    etcd --name "n$i" --data-dir "$dir/n$i" --logger zap --log-level error --quota-backend-bytes 8589934592 \
      --listen-client-urls "http://127.0.0.1:${client_ports[i]}" \
      --advertise-client-urls "http://127.0.0.1:${client_ports[i]}" \
      --listen-peer-urls "http://127.0.0.1:${peer_ports[i]}" \
      --initial-advertise-peer-urls "http://127.0.0.1:${peer_ports[i]}" \
      --initial-cluster "$peers" --initial-cluster-state new >"$dir/log$i" 2>&1 &
    pids+=("$!")
    nodes+=("http://127.0.0.1:${client_ports[i]}")
  done
  for node in "${nodes[@]}"; do await env ETCDCTL_API=3 etcdctl --endpoints "$node" endpoint health; done
}

# Starts one node on ports that the system chooses; appends to `nodes`.
start_node() {
  local log="$1/log$2" i="$2"
  shift 2
  [[ " $* " == *" --join "* ]] || "$forename" init --data-dir "$run/n$i" >/dev/null
  "$forename" serve --data-dir "$run/n$i" --http 127.0.0.1:0 --peer 127.0.0.1:0 --name "n$i" "$@" >"$log" 2>"$log.err" &
  pids+=("$!")
  await grep -q '^peer ' "$log"
  nodes+=("$(grep -m1 '^http' "$log")")
}

all_members() {
  local node
  for node in "${nodes[@]}"; do
    [[ "$(curl -sf "$node/v1/cluster" | jq '.members | length')" == "${#nodes[@]}" ]] || return 1
  done
}

start_forename() {
  local dir="$1" count="$2" i token first
  export FORENAME_LOG=warn
  nodes=()
  start_node "$dir" 0
  first="$(sed -n 's/^peer //p' "$dir/log0")"
  token="$("$forename" member token --uses "$count" --node "${nodes[0]}" | tail -n 1)"
  for ((i = 1; i < count; i++)); do start_node "$dir" "$i" --join "$first" --token "$token"; done
  await all_members
}

# CPU time of PostgreSQL so far, in microseconds: of the postmaster, of the backends that it saw end (fields 14 to 17 of
# proc_pid_stat(5), in ticks of 10 ms), and of its living processes.
postgres_cpu() {
  local pid files=() postmaster="${pids[0]}"
  while read -r pid; do files+=("/proc/$pid/stat"); done < <(ps -o pid= --ppid "$postmaster" | tr -d ' ')
  cat "/proc/$postmaster/stat" "${files[@]}" 2>/dev/null | sed 's/.*) //' |
    awk '{ ticks += $12 + $13 + (NR == 1 ? $14 + $15 : 0) } END { printf "%d\n", ticks * 10000 }'
}

# CPU time of one process so far, in microseconds.
process_cpu() { sed 's/.*) //' "/proc/$1/stat" | awk '{ printf "%d\n", ($12 + $13) * 10000 }'; }

# Prints: rate p50 p99 p99.9 max, in claims a second and microseconds; CPU an answer of servers and client. pgbench's
# clock runs while it still connects, so what counts is cut out of its log: client, number, latency, file, second,
# microsecond.
measure_pgbench() {
  local count="$1" dir="$work/pgbench" bench from until server client
  rm -rf "$dir" && mkdir "$dir"
  "$postgres_bin/pgbench" -n -M prepared -h 127.0.0.1 -p "$postgres_port" -U postgres -c "$count" -j 1 \
    -T "$((warmup + seconds + 3 + count / 32))" -f "$work/claim.sql" -l --log-prefix="$dir/log" postgres \
    >"$dir/out" 2>&1 &
  bench="$!"
  await grep -q . -r "$dir" --include='log*'
  sleep "$warmup"
  from="$EPOCHREALTIME" server="$(postgres_cpu)" client="$(process_cpu "$bench")"
  sleep "$seconds"
  until="$EPOCHREALTIME" server="$(($(postgres_cpu) - server))" client="$(($(process_cpu "$bench") - client))"
  wait "$bench"
  cat "$dir"/log* | awk -v from="$from" -v until="$until" '{ at = $5 + $6 / 1e6 } at >= from && at < until { print $3 }' |
    sort -n >"$dir/sorted"
  [[ -s $dir/sorted ]] || fail "pgbench did nothing in its time: $(cat "$dir/out")"
  awk -v seconds="$seconds" -v server="$server" -v client="$client" '
    { v[NR] = $1 }
    END {
      printf "%.0f\t%d\t%d\t%d\t%d\t", NR / seconds, v[int(NR * .5) + 1], v[int(NR * .99) + 1], \
        v[int(NR * .999) + 1], v[NR]
      printf "%.1f\t%.1f\n", server / NR, client / NR
    }' "$dir/sorted"
}

measure_load() {
  local target="$1" wait="$2" count="$3" arguments=() it
  for it in "${nodes[@]}"; do arguments+=(--node "$it"); done
  for it in "${pids[@]}"; do arguments+=(--pid "$it"); done
  "$load" --target "$target" --wait "$wait" --clients "$count" --seconds "$seconds" --warmup "$warmup" \
    "${arguments[@]}" --output json | tee -a "$work/load.json" |
    jq -r 'if .failed + .unfinished > 0 then "some claims failed: \(.)\n" | halt_error else . end
      | [.claims_per_second, .p50_us, .p99_us, .p999_us, .max_us, .server_cpu_us, .client_cpu_us] | @tsv'
}

for ((round = 1; round <= rounds; round++)); do
  for system in $systems; do
    run="$work/$system.$round"
    mkdir -p "$run"
    case "$system" in
      floor) ;;
      postgres) start_postgres "$run" ;;
      redis) start_redis "$run" ;;
      etcd1 | etcd3) start_etcd "$run" "${system#etcd}" ;;
      forename1) start_forename "$run" 1 ;;
      forename3*) start_forename "$run" 3 ;;
      *) fail "there is no system $system" ;;
    esac
    if [[ $system == floor ]]; then
      "$load" --floor "$run" --output json | jq -r '"floor\t0\t\(.append_us)\t\(.round_trip_us)"' |
        tee -a "$results" ${keep:+"$keep"} >&2
      continue
    fi
    for count in $clients; do
      case "$system" in
        postgres) line="$(measure_pgbench "$count")" ;;
        redis) line="$(measure_load redis none "$count")" ;;
        etcd*) line="$(measure_load etcd none "$count")" ;;
        *-final) line="$(measure_load forename final "$count")" ;;
        *) line="$(measure_load forename none "$count")" ;;
      esac
      printf '%s\t%s\t%s\n' "$system" "$count" "$line" | tee -a "$results" ${keep:+"$keep"} >&2
    done
    stop_servers
    rm -rf "$run"
  done
done

awk -F '\t' '
  function median(values, n,    list, i, j, t) {
    split(values, list, " ")
    for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j - 1] + 0 > list[j] + 0; j--) {
      t = list[j]; list[j] = list[j - 1]; list[j - 1] = t
    }
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
  }
  function ms(column) { return sprintf("%.1f ms", median(all[at, column], seen[at]) / 1000) }
  function cpu(column) { return sprintf("%.0f µs", median(all[at, column], seen[at])) }
  # The goals are those for 1, 16, 64 and 256 clients.
  function ratio(what, a, b, goals,    i, goal) {
    split(goals, goal, " ")
    for (i = 1; i <= sizes; i++) if (((a, size[i]) in rate) && ((b, size[i]) in rate))
      printf "| %s | %s | %.2f | %s | %.2f |\n", what, size[i], rate[a, size[i]] / rate[b, size[i]], \
        goal[1 + (size[i] > 1) + (size[i] > 16) + (size[i] > 64)], cost[b, size[i]] / cost[a, size[i]]
  }
  $1 == "floor" { floors++; appends = appends " " $3; trips = trips " " $4; next }
  {
    at = $1 SUBSEP $2
    if (!(at in seen)) order[++runs] = at
    if (!($2 in known)) { known[$2] = 1; size[++sizes] = $2 }
    seen[at]++
    for (column = 3; column <= 9; column++) all[at, column] = all[at, column] " " $column
  }
  END {
    print "| system | clients | claims/s | p50 | p99 | p99.9 | longest | servers CPU each | client CPU each |"
    print "| --- | --: | --: | --: | --: | --: | --: | --: | --: |"
    for (i = 1; i <= runs; i++) {
      at = order[i]; split(at, part, SUBSEP); rate[part[1], part[2]] = median(all[at, 3], seen[at])
      cost[part[1], part[2]] = median(all[at, 8], seen[at]) + median(all[at, 9], seen[at])
      printf "| %s | %s | %.0f | %s | %s | %s | %s | %s | %s |\n", part[1], part[2], rate[part[1], part[2]], \
        ms(4), ms(5), ms(6), ms(7), cpu(8), cpu(9)
    }
    print "\n| ratio | clients | claims/s | goal | by CPU a claim |\n| --- | --: | --: | --: | --: |"
    ratio("one forename : Redis", "forename1", "redis", "1.0 0.8 0.6 0.6")
    ratio("one forename : PostgreSQL", "forename1", "postgres", "1.2 2.5 2.5 2.5")
    ratio("one forename : one etcd", "forename1", "etcd1", "- - - -")
    ratio("three forename : three etcd, accepted", "forename3", "etcd3", "2.5 6 7 8")
    ratio("three forename : three etcd, final", "forename3-final", "etcd3", "1.2 3 4 5")
    if (floors) {
      append = median(appends, floors); trip = median(trips, floors)
      printf "\nOne synced append takes %d µs, one round trip over loopback %d µs (medians).", append, trip
      if (("forename1" SUBSEP 1) in seen) {
        p50 = median(all["forename1" SUBSEP 1, 4], seen["forename1" SUBSEP 1])
        printf " A claim of one client at one node takes %d µs at p50, %.2f times both (goal 1.3).", p50, p50 / (append + trip)
      }
      print ""
    }
  }' "$results"
