// SPDX-License-Identifier: MIT
// What the test program does when it was started as a worker (Spawn::exec): main() looks here before doctest begins.
#pragma once

#include <string>

namespace test {

/// By the program's first argument; each runs a master of its own type, whose spawn() then becomes the worker.
struct ExecWorker {
    ExecWorker(const char* name, int (*start)());
};

int run_exec_worker(int argc, char** argv);

/// What the test program does when it was started to replace a master: this variable has the name of such an object,
/// and what that needs to know behind a space; without it, a master that is never ready.
struct NextMaster {
    static constexpr const char* variable = "COHORT_TEST_NEXT_MASTER";

    NextMaster(const char* name, int (*start)());
    static std::string argument();
};

int run_next_master();

} // namespace test
