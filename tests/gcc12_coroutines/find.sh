#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Finds what g++ 12 compiles wrongly in coroutines, in sources of yours (Debian: clang-tools-16). Exit code 1: found some.
#
#   bash find.sh app.cpp more.cpp -- -std=c++20 -Icohort/include
#
# A temporary object in an expression with co_await is destroyed twice if it is
#   a lambda that has captured an object with a destructor,     co_await pool.run([name] { ... });
#   or an aggregate in braces that has one,                     co_await send(Hit{"/"});    Job job{co_await text(), 3};
#     also as a default argument,
# and so is what a ?: with co_await gives, if it has a destructor. A condition that awaits one, and does not name it, is
# wrong beside exceptions: while (co_await receive()) {}.
# What helps: a named coroutine function with parameters in place of the lambda, and a name for the value before.
set -uo pipefail

query=''
for version in 16 17 18 19 20 21; do
  command -v "clang-query-$version" >/dev/null && { query=clang-query-$version; break; }
done
if [ -z "$query" ]; then
  echo "clang-query is missing: apt-get install clang-tools-16" >&2
  exit 77
fi

files=()
while (($#)) && [ "$1" != -- ]; do files+=("$1"); shift; done
(($#)) && shift
((${#files[@]})) || { sed -n '3,/^set/{/^#/p}' "$0" >&2; exit 2; }

# Clang binds temporary objects that have a destructor which does something; the name that the match gets is what is said.
mine='unless(isExpansionInSystemHeader())'
object='hasType(hasUnqualifiedDesugaredType(recordType()))'
awaits_object="expr(anyOf(coawaitExpr($object), hasDescendant(coawaitExpr($object))))"
folder=$(mktemp -d) || exit 2
trap 'rm -rf "$folder"' EXIT
{
  echo 'set bind-root false'
  temporary() { echo "match coawaitExpr($mine, forEachDescendant(cxxBindTemporaryExpr(has($1)).bind(\"$2\")))"; }
  temporary 'lambdaExpr()' 'a lambda that has captured an object, in a co_await'
  temporary 'initListExpr()' 'an aggregate without a name, in a co_await'
  echo "match initListExpr($mine, $object, hasDescendant(coawaitExpr())).bind(\"a co_await in braces\")"
  echo "match conditionalOperator($mine, $object, hasDescendant(coawaitExpr())).bind(\"a co_await in ?: that gives an object\")"
  for kind in while if do for; do
    echo "match ${kind}Stmt($mine, hasCondition(expr($awaits_object).bind(\"a condition that awaits an object without a name\")))"
  done
} >"$folder/commands"

# One file at a time: clang-query keeps all it has read.
for file in "${files[@]}"; do
  # A file that clang cannot read would pass for one without faults.
  if ! "$query" -f "$folder/commands" "$file" -- -w "$@" >"$folder/output" 2>&1 || grep -q ' error: ' "$folder/output"; then
    grep ' error: ' "$folder/output" >&2 || cat "$folder/output" >&2
    exit 2
  fi
  sed -n -E 's/^(.*:[0-9]+:[0-9]+): note: "(.*)" binds here$/\1: \2/p' "$folder/output" >>"$folder/found"
done
sort -u -t: -k1,1 -k2,2n -k3,3n "$folder/found"
[ ! -s "$folder/found" ]
