#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fuzzes what reads bytes from others: installs what is missing (Debian), builds, runs each target.
#   run.sh [--plain] [--only TARGET] [EXECUTIONS [SECONDS]]
#       so many executions of each target (200000), for at most so long (600)
#       --plain: without sanitizers and optimised, to try several times as many in the same time
# Inputs that found something new are kept in build-fuzz and are where the next run begins, plain or not. A failure
# leaves its input there too: build-fuzz/TARGET FILE runs it alone.
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
source "$source_dir/tests/setup.sh"
sanitizers=(-O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined)
targets=(frames channel control control_socket http_parser http_connection)
usage() { sed -n '4,8s/^# *//p' "${BASH_SOURCE[0]}"; }
while [[ ${1-} == -* ]]; do
  case $1 in
    --plain) sanitizers=(-O2) ;;
    --only) targets=("${2:?}") && shift ;;
    *) usage >&2 && exit 2 ;;
  esac
  shift
done
setup build clang

build=$source_dir/build-fuzz
mkdir -p "$build"
# The coverage of Asio and the standard library says little about ours, and costs half the speed.
printf 'src:*\nfun:*cohort*\n' >"$build/coverage"

# Debian 12 has llhttp as sources only.
llhttp=(-lllhttp)
if [ -e /usr/share/llhttp/llhttp.c ]; then
  llhttp=()
  for part in api http llhttp; do
    "$clang" -x c -g1 "${sanitizers[@]}" -I /usr/share/include/llhttp -c "/usr/share/llhttp/$part.c" -o "$build/$part.o"
    llhttp+=("$build/$part.o")
  done
fi

# Bytes of an input; a channel does something for each of them, and a server may get each alone.
declare -A longest=([frames]=512 [channel]=128 [control]=512 [control_socket]=256 [http_parser]=1024
  [http_connection]=384)
for target in "${targets[@]}"; do
  "$clang" -std=c++20 -g1 -fsanitize=fuzzer "${sanitizers[@]}" \
    -fsanitize-coverage-allowlist="$build/coverage" -DASIO_STANDALONE -DASIO_HAS_CO_AWAIT -DASIO_HAS_STD_COROUTINE \
    -I "$source_dir/include" -I "$source_dir/tests" -isystem /usr/share/include/llhttp \
    "$source_dir/tests/fuzz/$target.cpp" "${llhttp[@]}" -o "$build/$target"
  mkdir -p "$build/$target.seeds" "$build/$target.corpus"
  COHORT_FUZZ_SEEDS=$build/$target.seeds "$build/$target"
  echo "fuzz/$target:"
  words=()
  if [[ $target == http_* ]]; then words=(-dict="$source_dir/tests/fuzz/http.dict"); fi
  if ! "$build/$target" -runs="${1:-200000}" -max_total_time="${2:-600}" -max_len="${longest[$target]}" -len_control=0 -entropic=0 \
    "${words[@]}" -malloc_limit_mb=4 -timeout=10 -print_final_stats=1 -artifact_prefix="$build/$target-" \
    "$build/$target.corpus" "$build/$target.seeds" >"$build/$target.log" 2>&1; then
    grep -Ev 'NEW|REDUCE|pulse' "$build/$target.log" >&2
    exit 1
  fi
  sed -n 's/^stat::/  /p' "$build/$target.log"
done
