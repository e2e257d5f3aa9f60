// SPDX-License-Identifier: MIT
// What the test program does when it was started as a worker (Spawn::exec): main() looks here before doctest begins.
#pragma once

namespace test {

/// By the program's first argument; each runs a master of its own type, whose spawn() then becomes the worker.
struct ExecWorker {
    ExecWorker(const char* name, int (*start)());
};

int run_exec_worker(int argc, char** argv);

} // namespace test
