#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Units of one program whose settings differ are refused by the linker, with a message that says so; equal ones link.
#
#     run.sh CXX INCLUDE_DIR...
set -uo pipefail
compiler=${1:?usage: run.sh CXX INCLUDE_DIR...}
shift
flags=(-std=c++20 -DASIO_STANDALONE)
for folder; do flags+=("-I$folder"); done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2

echo '#include <cohort/detail/config.hpp>' >unit.cpp
{ cat unit.cpp; echo 'int main() {}'; } >main.cpp
misses=0

compile() { # SOURCE OBJECT FLAG...
  "$compiler" "${flags[@]}" "${@:3}" -c "$1" -o "$2" || exit 2
}

check() { # EXPECTATION FLAGS_OF_MAIN FLAGS_OF_UNIT
  local expected=$1 mine other output found=links
  read -ra mine <<<"$2"
  read -ra other <<<"$3"
  compile main.cpp main.o "${mine[@]}"
  compile unit.cpp unit.o "${other[@]}"
  output=$("$compiler" main.o unit.o -o program 2>&1) || found=refused
  if [ $found = refused ] && [[ $output != *cohort_units_were_compiled_with_different_settings* ]]; then
    found='refused without a word of why'
  fi
  if [ "$found" = "$expected" ]; then
    echo "ok     $expected: [$2] with [$3]"
  else
    echo "MISSED $expected: [$2] with [$3]: $found"
    misses=$((misses + 1))
  fi
}

compiled=-DCOHORT_SEPARATE_COMPILATION
check links '' ''
check links $compiled $compiled
check links "$compiled -DASIO_SEPARATE_COMPILATION" $compiled
check refused '' $compiled
check refused $compiled ''
for setting in ASIO_DISABLE_THREADS ASIO_ENABLE_HANDLER_TRACKING ASIO_HAS_IO_URING ASIO_DISABLE_EPOLL \
  ASIO_NO_TS_EXECUTORS ASIO_ENABLE_BUFFER_DEBUGGING; do
  check links "-D$setting" "-D$setting"
  check refused '' "-D$setting"
  check refused "$compiled -D$setting" $compiled
done
((misses == 0))
