// SPDX-License-Identifier: MIT
// What the test program does when it was started as a worker (Spawn::exec): main() looks here before doctest begins.
#pragma once

namespace test {

/// By the program's first argument; each runs a master of its own type, whose spawn() then becomes the worker.
struct ExecWorker {
    ExecWorker(const char* name, int (*start)());
};

int run_exec_worker(int argc, char** argv);

/// What the test program does when it was started to replace a master: with this variable set, what the one object of
/// this class says; else it is a master that is never ready.
struct NextMaster {
    static constexpr const char* variable = "COHORT_TEST_NEXT_MASTER";

    explicit NextMaster(int (*start)());
};

int run_next_master();

} // namespace test
