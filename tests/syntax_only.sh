#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A compiler launcher for what need only be valid: the command is checked, and the object file left empty.
set -euo pipefail
"$@" -fsyntax-only
while [ "$1" != -o ]; do shift; done
: >"$2"
