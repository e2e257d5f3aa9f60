#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# All benchmarks: installs what is missing (Debian), builds Release, runs each beside its rival, and draws the result.
# Takes about 45 minutes after the build, 33 of them for what it costs to compile; other work on the machine makes the
# figures worse.
#   --quick   shorter rounds: for a look, not for a claim
# Exit code 1 when a figure falls short of what cohort promises.
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$source_dir/tests/setup.sh"

http_rounds=5 http_seconds=3 kill_seconds=30 reload_seconds=45 compile=(3)
case ${1-} in
  '') ;;
  --quick) http_rounds=3 http_seconds=1 kill_seconds=5 reload_seconds=22 compile=(1 --quick --compiler g++) ;;
  *) sed -n '3,/^set/{/^#/p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

setup build bench
build=$source_dir/build
configure "$build" -DCMAKE_BUILD_TYPE=Release -DCOHORT_BENCHMARKS=ON -DCOHORT_EXAMPLES=ON
targets=(example_http_server cohort_compiled)
for source in "$source_dir"/benchmarks/*.cpp; do targets+=("benchmark_$(basename "$source" .cpp)"); done
cmake --build "$build" --target "${targets[@]}" --parallel "${JOBS:-2}"

results=$(mktemp)
trap 'rm -f "$results"' EXIT
short=0

run() { # TITLE SECONDS COMMAND...
  local code=0
  printf '\n== %s\n' "$1"
  timeout --kill-after=10 "$2" "${@:3}" | tee -a "$results" || code=$?
  if ((code)); then short=1; fi
  if ((code > 1)); then echo "it ended with code $code" | tee -a "$results"; fi
}

# Benchmarks print what is promised as: name, figure, unit, "floor" or "ceiling", bound, verdict.
claim='^(.*[^ ]) +([0-9.]+) (.*[^ ]) +(floor|ceiling) ([0-9.]+)  (.*)$'

bar() { # FIGURE BOUND: 32 characters at the bound, at most 40
  local length
  length=$(awk -v figure="$1" -v bound="$2" 'BEGIN { printf "%d", (bound > 0 ? figure / bound * 32 + 0.5 : figure) }')
  printf '%*s' $((length > 40 ? 40 : length)) '' | tr ' ' '#'
}

draw() {
  local line
  printf '\n%84s |\n' 'the bound'
  while read -r line; do
    [[ $line =~ $claim ]] || continue
    set -- "${BASH_REMATCH[@]:1}"
    printf '%-52s %-40s %s %s (%s %s)  %s\n' "$1" "$(bar "$2" "$5")" "$2" "$3" "$4" "$5" "$6"
  done <"$results"
}

run 'Start and footprint' 60 "$build/benchmarks/start"
run 'Messages between processes' 180 "$build/benchmarks/channel"
run 'HTTP requests' 180 bash "$source_dir/benchmarks/http.sh" "$build" "$http_rounds" "$http_seconds"
run 'Idle connections' 60 "$build/benchmarks/idle_connections"
run 'Slow clients' 240 "$build/benchmarks/slow_clients"
run 'Large bodies' 60 "$build/benchmarks/large_bodies"
run 'Lines of workers in a log' 60 "$build/benchmarks/logs"
run 'Distribution of connections' 240 "$build/benchmarks/distribution"
run "Workers killed for $kill_seconds s" $((3 * kill_seconds + 60)) \
  "$build/benchmarks/kill_workers" --seconds "$kill_seconds"
run "100 reloads in $reload_seconds s" $((2 * reload_seconds + 90)) \
  "$build/benchmarks/reload" --seconds "$reload_seconds"
run 'Behind proxies' 120 bash "$source_dir/benchmarks/behind_proxies.sh" "$build"
run 'Compiling' 7200 bash "$source_dir/benchmarks/compile_time.sh" "$build" "${compile[@]}"
draw
exit "$short"
