#!/usr/bin/env bash
# Runs nodes on this machine as if they were far apart, or cut off from each other, and measures them.
#
#   benches/apart.sh delays [--each-way "45 100 125"] [--claims N]
#   benches/apart.sh halves [--names N] [--same PERCENT]
#
# delays: three members, with one-way delays in milliseconds between the first two, the first and the third, and the second
# and the third. One client claims name after name at each in turn and waits until each is final. With promises that are
# sent unasked every second and, as is the default, every 10 ms.
# halves: two members are cut off from each other, each takes N names, of which a part is claimed at both; then the cut is
# healed. Measured are the time until nothing is pending at either, and the memory of each.
#
# All datagrams between the members pass examples/relay. All processes are ended and all files removed on exit. Needs jq,
# curl and ss. FORENAME_BIN, LOAD_BIN and RELAY_BIN name other programs than those that are built.
set -euo pipefail

usage() { sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2; }
what="${1:-}"
[[ $what == delays || $what == halves ]] || usage
shift
each_way="45 100 125" claims=100 names=1000000 same=0
while (($# > 0)); do
  case "$1" in
    --each-way) each_way="${2:?}" ;;
    --claims) claims="${2:?}" ;;
    --names) names="${2:?}" ;;
    --same) same="${2:?}" ;;
    *) usage ;;
  esac
  shift 2
done

cd "$(dirname "$0")/.."
source benches/common.sh
need jq curl ss
target="${CARGO_TARGET_DIR:-target}"
forename="${FORENAME_BIN:-}" load="${LOAD_BIN:-}" relay="${RELAY_BIN:-}"
if [[ -z $forename ]]; then cargo build --quiet --profile dist --bin forename; forename="$target/dist/forename"; fi
if [[ -z $load || -z $relay ]]; then
  cargo build --quiet --profile dist --example load --example relay
  load="$target/dist/examples/load" relay="$target/dist/examples/relay"
fi

work="$(mktemp -d)"
pids=() relay_pid=""
end() { kill -TERM "$1" 2>/dev/null && wait "$1" 2>/dev/null || true; }
stop() {
  local pid
  for pid in "${pids[@]}" $relay_pid; do end "$pid"; done
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    if ! ss -Hlun "sport = :$port" | grep -q . && [[ " ${taken[*]:-} " != *" $port "* ]]; then
      taken+=("$port") port_found="$port"
      return
    fi
  done
}

# Starts so many members, which reach each other through the relay. `nodes` are their HTTP addresses.
start() {
  local count="$1" i token
  shift
  taken=() backs=() fronts=() nodes=() relayed=("$@")
  for ((i = 0; i < count; i++)); do
    free_port && fronts+=("127.0.0.1:$port_found")
    free_port && backs+=("127.0.0.1:$port_found")
    relayed+=(--member "${fronts[i]}=${backs[i]}")
  done
  start_relay
  for ((i = 0; i < count; i++)); do
    local join=()
    if ((i == 0)); then
      "$forename" init --data-dir "$work/n0" >/dev/null
    else
      token="$("$forename" member token --node "${nodes[0]}" | tail -n 1)"
      join=(--join "${fronts[0]}" --token "$token")
    fi
    FORENAME_LOG=warn "$forename" serve --data-dir "$work/n$i" --http 127.0.0.1:0 --peer "${backs[i]}" \
      --advertise "${fronts[i]}" --name "n$i" --rate 0 "${join[@]}" >"$work/log$i" 2>"$work/log$i.err" &
    pids+=("$!")
    await grep -q '^peer ' "$work/log$i"
    nodes+=("$(grep -m1 '^http' "$work/log$i")")
    await are_members "$((i + 1))"
  done
}

start_relay() { "$relay" "${relayed[@]}" & relay_pid="$!"; }
cut_links() { end "$relay_pid"; relay_pid=""; }

are_members() {
  local node
  for node in "${nodes[@]}"; do
    [[ "$(curl -sf "$node/v1/cluster" | jq '.members | length')" == "$1" ]] || return 1
  done
}

cluster() { curl -sf "$1/v1/cluster" | jq -r "$2"; }
kib() { awk -v field="$2:" '$1 == field { print $2 }' "/proc/$1/status"; }

promise_every() {
  local node
  for node in "${nodes[@]}"; do
    [[ "$(cluster "$node" .settings.promise_every)" == "$1" ]] || return 1
  done
}

measure_claims() {
  local i
  for ((i = 0; i < ${#nodes[@]}; i++)); do
    "$load" --node "${nodes[i]}" --clients 1 --wait final --warmup 1 --count "$claims" --output json |
      jq -r --arg at "n$i" --arg how "$1" \
        '"| \($at) | \($how) | \(.p50_us / 1000 | round) ms | \(.p99_us / 1000 | round) ms | \(.max_us / 1000 | round) ms |"'
  done
}

delays() {
  local ab ac bc
  read -r ab ac bc <<<"$each_way"
  start 3 --delay "0-1=$ab" --delay "0-2=$ac" --delay "1-2=$bc"
  echo "one-way delays: n0-n1 $ab ms, n0-n2 $ac ms, n1-n2 $bc ms; $claims claims each"
  # One way from the farthest member, or a round trip to the nearest other one.
  awk -v ab="$ab" -v ac="$ac" -v bc="$bc" '
    function least(one, other) { far = one > other ? one : other; near = one > other ? other : one; return far > 2 * near ? far : 2 * near }
    BEGIN { printf "least possible: n0 %d ms, n1 %d ms, n2 %d ms\n", least(ab, ac), least(ab, bc), least(ac, bc) }' </dev/null
  echo "| at | promises | p50 | p99 | longest |"
  echo "| --- | --- | --: | --: | --: |"
  local every
  for every in 1s 10ms; do
    "$forename" cluster set --promise-every "$every" --node "${nodes[0]}" >/dev/null
    await promise_every "$every"
    measure_claims "every $every"
  done
}

halves() {
  local i first imports=() began took pending
  start 2
  cut_links
  for i in 0 1; do
    first=$((i * (names - names * same / 100)))
    "$load" --people "$names" --first "$first" --owners "half$i" >"$work/people$i.csv"
  done
  for i in 0 1; do
    "$forename" import "$work/people$i.csv" --namespace username --node "${nodes[i]}" --output json \
      >"$work/import$i.json" 2>"$work/import$i.err" &
    imports+=("$!")
  done
  for i in "${imports[@]}"; do wait "$i" || [[ $? == 4 ]] || fail "an import failed: $(cat "$work"/import*.err)"; done
  for i in 0 1; do
    pending="$(cluster "${nodes[i]}" .pending)"
    ((pending == names)) || fail "n$i has $pending pending registrations in place of $names"
    echo "n$i took $pending names alone, $(jq '.rows_per_second | round' "$work/import$i.json") a second; memory" \
      "$(($(kib "${pids[i]}" VmRSS) >> 10)) MiB, $(($(kib "${pids[i]}" VmHWM) >> 10)) MiB at peak"
    rm "$work/people$i.csv"
  done
  began="$EPOCHREALTIME"
  start_relay
  local agreed=() connected=""
  while ((${#agreed[@]} < 2)); do
    # Each look takes 50 ms of a core, which the members need.
    sleep 0.3
    took="$(awk -v from="$began" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.2f", to - from }')"
    for i in 0 1; do
      if [[ " ${agreed[*]:-} " != *" $i "* && "$(cluster "${nodes[i]}" .pending)" == 0 ]]; then
        agreed+=("$i")
        echo "n$i has decided everything $took s after the heal"
      fi
    done
    awk -v took="$took" 'BEGIN { exit took > 600 }' || fail "they do not agree"
  done
  for i in 0 1; do
    echo "n$i: memory $(($(kib "${pids[i]}" VmRSS) >> 10)) MiB, $(($(kib "${pids[i]}" VmHWM) >> 10)) MiB at peak"
  done
}

"$what"
