#!/usr/bin/env bash
# Programs that must not compile, and what the compiler must say about them.
#
#     run.sh CXX INCLUDE_DIR...
#
# Every .cpp file beside this script is a case. Its comment lines say what is expected:
#     // expect: REGEX         some line of the compiler's output matches
#     // expect-first: REGEX   the first error matches: nothing comes before it
#     // only: REGEX           for compilers whose --version matches, others skip the case
# A file with neither must compile: it shows that the others fail for their own reasons.
# The header that most cases include, and before all others, is compiled once for all of them.
set -u

if (($# < 2)); then
    echo "usage: run.sh CXX INCLUDE_DIR..." >&2
    exit 2
fi
compile=("$1" -std=c++20 -DCOHORT_SEPARATE_COMPILATION -DASIO_SEPARATE_COMPILATION)
version=$("$1" --version | head -n 1)
shift
for directory; do compile+=("-I$directory"); done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

misses=0
say() { printf '%-6s %s\n' "$1" "$2"; }
miss() {
    say MISSED "$1"
    misses=$((misses + 1))
}

cd "$(dirname "$0")" || exit 2
common='#include <cohort/serialize.hpp>'
echo "$common" >"$work/common.hpp"
"${compile[@]}" -x c++-header "$work/common.hpp" -o "$work/common.hpp.gch" || exit 2
for file in *.cpp; do
    only=$(sed -n 's|^// only: ||p' "$file")
    if [[ -n $only ]] && ! grep -qE -e "$only" <<<"$version"; then
        say skip "$file"
        continue
    fi
    before=()
    [[ $(grep -m1 '^#include' "$file") != "$common" ]] || before=(-include "$work/common.hpp")
    output=$("${compile[@]}" "${before[@]}" -fsyntax-only "$file" 2>&1)
    status=$?
    mapfile -t expected < <(sed -n 's|^// expect: ||p' "$file")
    mapfile -t expected_first < <(sed -n 's|^// expect-first: ||p' "$file")
    if ((${#expected[@]} + ${#expected_first[@]} == 0)); then
        if ((status == 0)); then
            say ok "$file (compiles)"
        else
            miss "$file: it must compile"
            printf '%s\n' "$output" | head -n 20
        fi
        continue
    fi
    wrong=
    ((status != 0)) || wrong="it compiles"
    for regex in "${expected[@]}"; do
        grep -qE -e "$regex" <<<"$output" || wrong="no line matches: $regex"
    done
    for regex in "${expected_first[@]}"; do
        grep -m1 -E '(^|[: ])error:' <<<"$output" | grep -qE -e "$regex" || wrong="the first error does not match: $regex"
    done
    if [[ -z $wrong ]]; then
        say ok "$file"
    else
        miss "$file: $wrong"
        printf '%s\n' "$output" | head -n 20
    fi
done
((misses == 0))
