#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What does an HTTP request cost? CPU time of all processes of http_server --workers 1, in both modes, against the bare
# epoll loop of http_epoll.cpp, with 64 keep-alive connections, in alternating rounds.
# Run:    http.sh BUILD [ROUNDS [SECONDS]]   (5 rounds of 3 s each; BUILD has examples/ and benchmarks/ built)
# Expect: a line for each server; exit code 1 when a mode costs more than 1.5 times what the bare loop does.
set -euo pipefail

build=${1:?usage: http.sh BUILD [ROUNDS [SECONDS]]}
rounds=${2:-5}
seconds=${3:-3}
ceiling=1.5
servers=(bare round-robin shared-socket)

command -v wrk >/dev/null || { echo "http.sh needs wrk: apt-get install wrk" >&2; exit 2; }
for program in examples/http_server benchmarks/http_epoll; do
  [ -x "$build/$program" ] || { echo "http.sh: $build/$program is not built" >&2; exit 2; }
done

work=$(mktemp -d)
declare -A pid url
stop() {
  if ((${#pid[@]})); then
    kill "${pid[@]}" 2>/dev/null || true
    wait "${pid[@]}" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap stop EXIT

start() { # NAME COMMAND...
  local name=$1 line='' deadline=$((SECONDS + 10))
  shift
  : >"$work/$name.line"
  "$@" >"$work/$name.line" &
  pid[$name]=$!
  until read -r line <"$work/$name.line"; do
    ((SECONDS < deadline)) || { echo "http.sh: $name did not start" >&2; exit 2; }
    sleep 0.02
  done
  [[ $line =~ :([0-9]+), ]]
  url[$name]=http://127.0.0.1:${BASH_REMATCH[1]}/
}

# User and system time of a process and its children so far, in ticks. The name may hold blanks; ")" ends it.
cpu_ticks() {
  local process stat fields total=0
  for process in "$1" $(cat "/proc/$1/task/$1/children"); do
    stat=$(<"/proc/$process/stat")
    read -ra fields <<<"${stat##*) }"
    total=$((total + fields[11] + fields[12]))
  done
  echo "$total"
}

# Prints requests, seconds, and microseconds of CPU for each request.
measure() {
  local name=$1 before after
  before=$(cpu_ticks "${pid[$name]}")
  wrk -t1 -c64 -d"$seconds" "${url[$name]}" >"$work/wrk"
  after=$(cpu_ticks "${pid[$name]}")
  if grep -E 'Non-2xx|Socket errors' "$work/wrk" >&2; then
    echo "http.sh: $name failed" >&2
    return 1
  fi
  awk -v ticks=$((after - before)) -v hertz="$(getconf CLK_TCK)" -v name="$name" '
    / requests in / { requests = $1 }
    /^Requests\/sec:/ { rate = $2 }
    END { if (!requests) exit 1; printf "%s %.0f %.3f\n", name, rate, ticks / hertz * 1e6 / requests }' "$work/wrk"
}

start bare "$build/benchmarks/http_epoll"
for mode in round-robin shared-socket; do
  start $mode "$build/examples/http_server" --port 0 --workers 1 --mode $mode
done
for name in "${servers[@]}"; do
  sizes+=("$(curl -si --max-time 10 "${url[$name]}" | wc -c)")
done
[ "${sizes[0]}" = "${sizes[1]}" ] && [ "${sizes[0]}" = "${sizes[2]}" ] ||
  { echo "http.sh: the answers are not of one size: ${sizes[*]}" >&2; exit 2; }

for ((round = 0; round < rounds; ++round)); do
  for ((i = 0; i < ${#servers[@]}; ++i)); do
    measure "${servers[(round + i) % ${#servers[@]}]}"
  done | sort >"$work/round"
  awk -v round=$round '{ print round, $0 }' "$work/round" >>"$work/all"
done

awk -v ceiling=$ceiling '
  function median(values, count,   i, j, swap) {
    for (i = 1; i <= count; ++i)
      for (j = i + 1; j <= count; ++j)
        if (values[j] < values[i]) { swap = values[i]; values[i] = values[j]; values[j] = swap }
    return values[int((count + 1) / 2)]
  }
  { rate[$2, $1 + 1] = $3; cost[$2, $1 + 1] = $4; rounds = $1 + 1 }
  function line(name, label,   i, rates, costs) {
    for (i = 1; i <= rounds; ++i) { rates[i] = rate[name, i]; costs[i] = cost[name, i] }
    printf "%-44s %9.0f %14.2f\n", label, median(rates, rounds), median(costs, rounds)
  }
  function claim(name, label,   i, ratios, times, holds) {
    for (i = 1; i <= rounds; ++i) ratios[i] = cost[name, i] / cost["bare", i]
    times = median(ratios, rounds)
    holds = times <= ceiling
    printf "%-44s %9.2f %-12s ceiling %.2f  %s\n", label, times, "times", ceiling, holds ? "ok" : "FALLS SHORT"
    printf "%-44s %9.2f to %.2f\n", "  its rounds", ratios[1], ratios[rounds]
    return holds
  }
  END {
    printf "%-44s %9s %14s\n", "GET / on 64 keep-alive connections", "per s", "CPU us each"
    line("bare", "bare epoll loop")
    line("round-robin", "http_server, round-robin")
    line("shared-socket", "http_server, shared-socket")
    good = claim("round-robin", "CPU against the bare loop, round-robin")
    good = claim("shared-socket", "CPU against the bare loop, shared-socket") && good
    exit good ? 0 : 1
  }' "$work/all"
