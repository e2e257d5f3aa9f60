#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# All tests: installs what is missing (Debian), builds, runs.
#   --sanitize        under AddressSanitizer and UndefinedBehaviorSanitizer
#   --compiler NAME   with this compiler, such as clang++-16; "clang" means any clang from 16 on
#   --fast            without what does not depend on the compiler's options: packaging, what must not compile or link
#   --repeat N        each test N times, until one fails
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$source_dir/tests/setup.sh"

compiler=g++
sanitize=''
flags='-O0 -g0'
repeat=1
selection=()
while (($#)); do
  case $1 in
    --sanitize) sanitize='address;undefined' flags='-O0 -g1' ;;
    --fast) selection=(--exclude-regex '^(package/|compile_fail$|compile_cost$|mixed_settings$)') ;;
    --compiler) compiler=${2:?--compiler needs a name}; shift ;;
    --repeat) repeat=${2:?--repeat needs a number}; shift ;;
    *) sed -n '3,/^set/{/^#/p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
  esac
  shift
done

if [ "$compiler" = clang ]; then
  setup build test clang
  compiler=$clang
else
  CXX=$compiler setup build test
fi

build=$source_dir/build-test
[ "$compiler" = g++ ] || build+=-$(basename "$compiler")
[ -z "$sanitize" ] || build+=-sanitize
# GCC's own collection of garbage costs more than the 0.1 GB that it keeps free.
[[ $compiler == *clang* ]] || flags+=' --param ggc-min-heapsize=262144'

configure "$build" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="$flags" -DCMAKE_C_FLAGS_RELWITHDEBINFO="$flags" -DCOHORT_SANITIZE="$sanitize" \
  -DCOHORT_TEST_UNITS=32 -DCOHORT_BENCHMARKS=OFF
cmake --build "$build" --parallel "${JOBS:-2}"

repeating=()
[ "$repeat" = 1 ] || repeating=(--repeat "until-fail:$repeat")
# Tests wait more than they compute; those that compile count as two.
exec ctest --test-dir "$build" --parallel $((2 * ${JOBS:-2})) --output-on-failure "${repeating[@]}" "${selection[@]}"
