#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The demo: installs what is missing (Debian), builds examples/http_server and starts it with one worker per CPU.
#   PORT=8080 bash examples/run.sh [http_server's own options]
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$source_dir/tests/setup.sh"

setup build

# Without optimization it serves in half the time; benchmarks/run.sh builds what is to be measured.
build=$source_dir/build-demo
configure "$build" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG='-O0 -g0' -DCOHORT_TESTS=OFF -DCOHORT_BENCHMARKS=OFF
cmake --build "$build" --target example_http_server --parallel "$(nproc)"

port=${PORT:-8080}
echo
echo "cohort demo: http://localhost:$port/ (also /hello/you, /worker, /count). Ctrl-C stops it."
exec "$build/examples/http_server" --port "$port" --workers 0 "$@"
