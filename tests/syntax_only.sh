#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A compiler launcher for what need only be valid: the command is checked, and the object file left empty. A header is
# precompiled as it is.
set -euo pipefail
case " $* " in *' c++-header '*) exec "$@" ;; esac
"$@" -fsyntax-only
while [ "$1" != -o ]; do shift; done
: >"$2"
