#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# find.sh against a table: lines of table.cpp that say `// found` are found, and no others. The library and the program
# of README.md have none; .ci/run looks at the examples.
#   run.sh SOURCE_DIR README_PROGRAM INCLUDE_DIR...
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source_dir=$1 readme=$2
shift 2
flags=(-std=c++20 -DASIO_STANDALONE "-I$source_dir/include")
for folder; do flags+=(-isystem "$folder"); done
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

expected=$(grep -n '// found' "$here/table.cpp" | cut -d: -f1 | sort -n)
output=$(bash "$here/find.sh" "$here/table.cpp" -- "${flags[@]}")
status=$?
((status == 77)) && exit 77
got=$(sed -E 's/^.*table\.cpp:([0-9]+):.*$/\1/' <<<"$output" | sort -nu)
if [ "$got" != "$expected" ] || ((status != 1)); then
  echo "find.sh ended with $status"
  echo "$output"
  diff <(echo "$expected") <(echo "$got") | sed 's/^</missing: line/; s/^>/wrong: line/'
  exit 1
fi

# What cannot be read is not passed for faultless.
echo '#include <no_such_header.hpp>' >"$work/unreadable.cpp"
bash "$here/find.sh" "$work/unreadable.cpp" -- "${flags[@]}" 2>/dev/null
(($? == 2)) || { echo "a file with errors was taken for one without faults"; exit 1; }

# All bodies of the library, and its headers' inline ones.
printf '#define ASIO_SEPARATE_COMPILATION\n#define COHORT_SEPARATE_COMPILATION\n#include <cohort/src.hpp>\n' >"$work/library.cpp"
bash "$here/find.sh" "$work/library.cpp" "$readme" -- "${flags[@]}" || {
  echo "the lines above are ours"
  exit 1
}
