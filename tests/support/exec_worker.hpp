// SPDX-License-Identifier: MIT
// What the test program does when it was started as a worker (Spawn::exec): main() looks here before doctest begins.
#pragma once

#include <map>
#include <string>

namespace test {

/// By the program's first argument; each runs a master of its own type, whose spawn() then becomes the worker.
inline std::map<std::string, int (*)()>& exec_workers() {
    static std::map<std::string, int (*)()> workers;
    return workers;
}

struct ExecWorker {
    ExecWorker(const char* name, int (*start)()) { exec_workers()[name] = start; }
};

inline int run_exec_worker(int argc, char** argv) {
    const auto found = exec_workers().find(argc > 1 ? argv[1] : "");
    return found == exec_workers().end() ? 121 : found->second();
}

} // namespace test
