#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What does it cost to compile? CPU time and memory of the compiler for examples, in the compiled way (cohort::compiled)
# and with headers only, against a server of Asio's coroutines alone (asio_echo.cpp), compiled as Asio's users do. And a
# program of use, json_api: from a changed line to the answer that shows it.
# Run:    compile_time.sh [--compiler g++|clang++-16] [--quick] BUILD [ROUNDS]
#         (3 rounds, whose medians count; with g++ and, if it is there, clang++-16. BUILD has cohort_compiled built.
#         --quick: one round, with headers only just http_hello)
# Expect: a table for each compiler; exit code 1 when something costs more than is promised.
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
usage() { sed -n '3,/^set/{/^#/p}' "${BASH_SOURCE[0]}" >&2; exit 2; }

compilers=()
rounds=''
quick=no
build=''
while (($#)); do
  case $1 in
    --compiler) compilers=("${2:?--compiler needs a name}"); shift ;;
    --quick) quick=yes ;;
    -*) usage ;;
    *) if [ -z "$build" ]; then build=$1; elif [ -z "$rounds" ]; then rounds=$1; else usage; fi ;;
  esac
  shift
done
[ -n "$build" ] || usage
if ((${#compilers[@]} == 0)); then
  compilers=(g++)
  command -v clang++-16 >/dev/null && compilers+=(clang++-16)
fi
[ $quick = no ] && rounds=${rounds:-3} || rounds=${rounds:-1}

fail() { echo "compile_time.sh: $*" >&2; exit 2; }
[ -x /usr/bin/time ] || fail "needs GNU time: apt-get install time"
command -v curl >/dev/null || fail "needs curl: apt-get install curl"
for compiler in "${compilers[@]}"; do command -v "$compiler" >/dev/null || fail "there is no $compiler"; done
[ -e "$build/libcohort.a" ] || fail "$build/libcohort.a is not built"

cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt" | grep -v NOTFOUND || true; }
includes=(-I "$source_dir/include")
for folder in "$(cached COHORT_ASIO_INCLUDE_DIR)" "$(cached COHORT_LLHTTP_INCLUDE_DIR)" "$(cached COHORT_JSON_INCLUDE_DIR)"; do
  # To name a folder of the compiler's own changes the order in which it looks for headers.
  case $folder in '' | /usr/include | /usr/local/include) ;; *) includes+=(-isystem "$folder") ;; esac
done
llhttp=$build/libcohort_llhttp.a
[ -e "$llhttp" ] || llhttp=$(cached COHORT_LLHTTP_LIBRARY)
[ -n "$llhttp" ] || llhttp=-lllhttp

work=$(mktemp -d)
server=''
stop() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
  server=''
}
trap 'stop; rm -rf "$work"' EXIT

# What a coroutine program on Asio includes: this is what cohort.hpp is compared with.
printf '#include <asio/%s.hpp>\n' awaitable co_spawn detached io_context ip/tcp read signal_set steady_timer this_coro \
  use_awaitable write >"$work/coroutines.cpp"
echo '#include <cohort.hpp>' >"$work/nothing.cpp"
bare=$source_dir/benchmarks/asio_echo.cpp

flags_of() { # COMPILER WAY: sets $flags
  flags=(-std=c++20 -pthread -DASIO_STANDALONE "${includes[@]}")
  [ "$2" = headers ] || flags+=(-DCOHORT_SEPARATE_COMPILATION -DASIO_SEPARATE_COMPILATION)
  # Asio 1.22 does not recognise clang's standard coroutines by itself, when its headers come first.
  [[ $1 != *clang* ]] || flags+=(-DASIO_HAS_CO_AWAIT -DASIO_HAS_STD_COROUTINE)
}

object_of() { echo "$work/${1//\//_}-$2.o"; } # COMPILER PROGRAM

# Adds to $work/all: round, compiler, program, way, options, CPU seconds, megabytes, bytes of the object.
measure() { # ROUND COMPILER PROGRAM WAY OPTIONS SOURCE
  local flags options object
  object=$(object_of "$2" "$3")
  flags_of "$2" "$4"
  read -ra options <<<"$5"
  /usr/bin/time -f '%U %S %M' -o "$work/time" "$2" "${flags[@]}" "${options[@]}" -c "$6" -o "$object" ||
    fail "$2 could not compile $6"
  awk -v id="$1 $2 $3 $4 ${5// /,}" -v bytes="$(stat -c %s "$object")" \
    '{ printf "%s %.2f %.0f %d\n", id, $1 + $2, $3 * 1024 / 1e6, bytes }' "$work/time" >>"$work/all"
}

example() { echo "$source_dir/examples/$1.cpp"; }

# One after the other, so that what else happens on the machine meets all of them.
round() { # ROUND COMPILER
  local options program
  for options in -O0 -O2; do
    measure "$1" "$2" asio_echo headers $options "$bare"
    measure "$1" "$2" coroutines headers $options "$work/coroutines.cpp"
    measure "$1" "$2" nothing compiled $options "$work/nothing.cpp"
    for program in http_hello messages http_app; do
      measure "$1" "$2" $program compiled $options "$(example $program)"
    done
    measure "$1" "$2" http_hello headers $options "$(example http_hello)"
    [ $quick = no ] || continue
    measure "$1" "$2" nothing headers $options "$work/nothing.cpp"
    for program in messages http_app json_api; do
      measure "$1" "$2" $program headers $options "$(example $program)"
    done
  done
  measure "$1" "$2" json_api compiled -O2 "$(example json_api)"
  measure "$1" "$2" json_api compiled '-O0 -g' "$(example json_api)"
}

# Once: it takes as long as all others together.
library() { # COMPILER
  local unit objects=()
  for unit in "$build"/compiled/unit_*.cpp; do
    measure 1 "$1" "$(basename "$unit" .cpp)" compiled -O2 "$unit"
    objects+=("$(object_of "$1" "$(basename "$unit" .cpp)")")
  done
  rm -f "$work/libcohort.a"
  ar qcs "$work/libcohort.a" "${objects[@]}"
}

link_program() { # COMPILER LIBRARY OUTPUT
  "$1" -pthread "$(object_of "$1" json_api)" "$2" "$llhttp" -lsqlite3 -o "$3"
}

start() { # starts $work/json_api and sets $server and $port
  local line='' deadline=$((SECONDS + 10))
  : >"$work/line"
  "$work/json_api" --port 0 --workers 1 --database "$work/notes.db" >"$work/line" &
  server=$!
  until read -r line <"$work/line"; do
    ((SECONDS < deadline)) || fail "json_api did not start"
    sleep 0.01
  done
  port=${line##*:}
}

# A line is changed while the program runs: compiled, linked, started anew, asked.
edit() { # ROUND COMPILER
  local begun answer
  sed "s/\"no such path\"/\"no such path in round $1\"/" "$(example json_api)" >"$work/json_api.cpp"
  link_program "$2" "$work/libcohort.a" "$work/json_api"
  start
  begun=$EPOCHREALTIME
  measure "$1" "$2" json_api edited '-O0 -g' "$work/json_api.cpp"
  stop
  link_program "$2" "$work/libcohort.a" "$work/json_api"
  start
  answer=$(curl -s --max-time 10 "http://127.0.0.1:$port/")
  awk -v begun="$begun" -v ended="$EPOCHREALTIME" -v id="$1 $2 json_api serving -O0,-g" \
    'BEGIN { printf "%s %.2f 0 0\n", id, ended - begun }' >>"$work/all"
  stop
  [[ $answer == *"in round $1"* ]] || fail "the changed json_api answers $answer"
}

sizes() { # COMPILER
  link_program "$1" "$work/libcohort.a" "$work/json_api" || fail "$1 could not link json_api"
  echo "1 $1 json_api linked -O0,-g 0 0 $(stat -c %s "$work/json_api")" >>"$work/all"
  # What another compiler has built does not fit.
  link_program "$1" "$build/libcohort.a" "$work/json_api" 2>/dev/null || return 0
  echo "1 $1 json_api linked_to_build -O0,-g 0 0 $(stat -c %s "$work/json_api")" >>"$work/all"
}

: >"$work/all"
for compiler in "${compilers[@]}"; do
  measure 0 "$compiler" http_hello headers -O0 "$(example http_hello)" # reads what the others find in memory
done
for ((number = 1; number <= rounds; ++number)); do
  for compiler in "${compilers[@]}"; do round $number "$compiler"; done
done
for compiler in "${compilers[@]}"; do
  library "$compiler"
  sizes "$compiler"
  for ((number = 1; number <= rounds; ++number)); do edit $number "$compiler"; done
done

awk -v compilers="${compilers[*]}" '
  $1 > 0 {
    key = $2 SUBSEP $3 SUBSEP $4 SUBSEP $5
    cpu[key, $1] = $6; memory[key, $1] = $7; bytes[key] = $8
    if ($1 > rounds[key]) rounds[key] = $1
    if ($3 ~ /^unit_/) library[$2] += $6
  }
  function id(program, way, options) { return compiler SUBSEP program SUBSEP way SUBSEP options }
  function sorted_middle(values, count,   i, j, swap) {
    for (i = 1; i <= count; ++i)
      for (j = i + 1; j <= count; ++j)
        if (values[j] < values[i]) { swap = values[i]; values[i] = values[j]; values[j] = swap }
    return values[int((count + 1) / 2)]
  }
  function median(of, key,   i, values) {
    for (i = 1; i <= rounds[key]; ++i) values[i] = of[key, i]
    return sorted_middle(values, rounds[key])
  }
  function times(of, key, base,   i, values) {
    for (i = 1; i <= rounds[key]; ++i) values[i] = of[key, i] / of[base, i]
    return sorted_middle(values, rounds[key])
  }
  function larger(a, b) { return a > b ? a : b }
  function row(program, way, label,   plain, fast, base, base_fast) {
    plain = id(program, way, "-O0"); fast = id(program, way, "-O2")
    if (!(fast in rounds)) return
    base = id("asio_echo", "headers", "-O0"); base_fast = id("asio_echo", "headers", "-O2")
    if (plain in rounds)
      printf "%-32s %-9s %8.2f %6.2f %8.2f %6.2f %6.0f %6.0f %6.2f\n", label, way,
        median(cpu, plain), times(cpu, plain, base), median(cpu, fast), times(cpu, fast, base_fast),
        median(memory, plain), median(memory, fast),
        larger(times(memory, plain, base), times(memory, fast, base_fast))
    else
      printf "%-32s %-9s %8s %6s %8.2f %6.2f %6s %6.0f %6.2f\n", label, way, "", "", median(cpu, fast),
        times(cpu, fast, base_fast), "", median(memory, fast), times(memory, fast, base_fast)
  }
  function claim(label, figure, unit, bound,   holds) {
    holds = figure <= bound
    if (!holds) short = 1
    printf "%-52s %9.2f %-12s ceiling %.2f  %s\n", label ", " compiler, figure, unit, bound, (holds ? "ok" : "FALLS SHORT")
  }
  # How many times what the other one takes.
  function times_bare(of, program, options) {
    return times(of, id(program, "compiled", options), id("asio_echo", "headers", options))
  }
  function claims(   i, plain, fast) {
    for (i = 1; i <= 3; ++i) {
      claim("CPU to compile " programs[i] " -O0", times_bare(cpu, programs[i], "-O0"), "times bare", 1.6)
      claim("CPU to compile " programs[i] " -O2", times_bare(cpu, programs[i], "-O2"), "times bare", 1.3)
      plain = times_bare(memory, programs[i], "-O0")
      fast = times_bare(memory, programs[i], "-O2")
      claim("memory to compile " programs[i], larger(plain, fast), "times bare", 1.3)
    }
    plain = times(cpu, id("nothing", "compiled", "-O0"), id("coroutines", "headers", "-O0"))
    fast = times(cpu, id("nothing", "compiled", "-O2"), id("coroutines", "headers", "-O2"))
    claim("CPU for <cohort.hpp> alone -O0", plain, "times Asio", 1.5)
    claim("CPU for <cohort.hpp> alone -O2", fast, "times Asio", 1.5)
    claim("CPU to compile json_api -O0 -g", median(cpu, id("json_api", "compiled", "-O0,-g")), "s", 12)
    claim("CPU to compile json_api -O2", median(cpu, id("json_api", "compiled", "-O2")), "s", 20)
    claim("json_api with debug information", bytes[id("json_api", "linked", "-O0,-g")] / 1e6, "MB", 10)
    claim("json_api, from a changed line to its answer", median(cpu, id("json_api", "serving", "-O0,-g")), "s", 15)
    plain = median(memory, id("http_hello", "headers", "-O0"))
    fast = median(memory, id("http_hello", "headers", "-O2"))
    claim("memory for http_hello with headers only", larger(plain, fast), "MB", 700)
    claim("CPU to compile cohort::compiled -O2", library[compiler], "s", 60)
  }
  END {
    split("http_hello messages http_app", programs, " ")
    count = split(compilers, names, " ")
    for (n = 1; n <= count; ++n) {
      compiler = names[n]
      printf "%s%-32s %-9s %15s %15s %20s\n", (n > 1 ? "\n" : ""), compiler, "", "-O0: s, times", "-O2: s, times", "MB: -O0, -O2, times"
      row("asio_echo", "headers", "bare Asio: asio_echo")
      row("coroutines", "headers", "the headers of Asio\x27s coroutines")
      for (w = 1; w <= 2; ++w) {
        way = w == 1 ? "compiled" : "headers"
        row("nothing", way, "<cohort.hpp> alone")
        for (i = 1; i <= 3; ++i) row(programs[i], way, programs[i])
        row("json_api", way, "json_api")
      }
      key = id("json_api", "compiled", "-O0,-g")
      printf "%-32s %-9s %8.2f s, %.0f MB; the program %.1f MB", "json_api -O0 -g", "compiled",
        median(cpu, key), median(memory, key), bytes[id("json_api", "linked", "-O0,-g")] / 1e6
      key = id("json_api", "linked_to_build", "-O0,-g")
      if (key in bytes) printf ", with the library of BUILD %.1f MB", bytes[key] / 1e6
      print ""
      printf "%-32s %-9s %31.2f s\n", "cohort::compiled", "", library[compiler]
    }
    print ""
    for (n = 1; n <= count; ++n) { compiler = names[n]; claims() }
    exit short
  }' "$work/all"
