#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Has it become dearer to compile a program of cohort? Sizes, which are the same on every run, stand in sizes.txt for
# each compiler; one that has grown by more than a tenth is to be explained, or undone.
# Run:    run.sh [--update] CXX INCLUDE_DIR...
#         --update writes down what is measured now, for this compiler.
# Expect: a line for each size; exit code 1 when one has grown by more than a tenth, 77 when none is noted, since other
#         versions come with other libraries.
#
#   lines        of <cohort.hpp> after the preprocessor, in the compiled way
#   own_lines    of them those that are no system header's
#   object       bytes of code and data in examples/http_hello.cpp, in the compiled way, with -O0
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source_dir=$(cd "$here/../.." && pwd)
sizes=$here/sizes.txt

update=no
if [ "${1-}" = --update ]; then update=yes; shift; fi
compiler=${1:?usage: run.sh [--update] CXX INCLUDE_DIR...}
shift
flags=(-std=c++20 -DASIO_STANDALONE -DCOHORT_SEPARATE_COMPILATION -DASIO_SEPARATE_COMPILATION -I "$source_dir/include")
for folder; do flags+=(-isystem "$folder"); done
name=g++
if [[ $("$compiler" --version) == *clang* ]]; then
  name=clang++
  flags+=(-DASIO_HAS_CO_AWAIT -DASIO_HAS_STD_COROUTINE)
fi
name+=-$("$compiler" -dumpversion | cut -d. -f1)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo '#include <cohort.hpp>' >"$work/cohort.cpp"
"$compiler" "${flags[@]}" -E "$work/cohort.cpp" -o "$work/cohort.ii"
"$compiler" "${flags[@]}" -O0 -g0 -c "$source_dir/examples/http_hello.cpp" -o "$work/http_hello.o"

# A line "# 12 "file" 1 3" says where the next ones come from; the flag 3 marks system headers.
{
  awk '
    /^# [0-9]+ "/ { system_header = / 3( 4)?$/; next }
    !/^[ \t]*$/ { ++lines; if (!system_header) ++own }
    END { print "lines", lines; print "own_lines", own }' "$work/cohort.ii"
  size "$work/http_hello.o" | awk 'NR == 2 { print "object", $1 + $2 }'
} >"$work/measured"

if [ $update = yes ]; then
  {
    grep -v "^$name " "$sizes" 2>/dev/null || true
    sed "s/^/$name /" "$work/measured"
  } | LC_ALL=C sort >"$work/sizes.txt"
  cp "$work/sizes.txt" "$sizes"
fi

grep -q "^$name " "$sizes" || { echo "no sizes are noted for $name: skipped"; exit 77; }
awk -v name="$name" '
  FNR == NR { if ($1 == name) noted[$2] = $3; next }
  {
    holds = ($1 in noted) && $2 <= noted[$1] * 1.1
    printf "%-10s %-10s %8d  noted: %8d  %s\n", name, $1, $2, noted[$1], (holds ? "ok" : "GROWN")
    if (!holds) failed = 1
  }
  END { exit failed }' "$sizes" "$work/measured"
