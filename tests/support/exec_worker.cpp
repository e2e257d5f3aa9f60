// SPDX-License-Identifier: MIT
#include "exec_worker.hpp"

#include <map>
#include <string>

namespace test {

namespace {

std::map<std::string, int (*)()>& exec_workers() {
    static std::map<std::string, int (*)()> workers;
    return workers;
}

} // namespace

ExecWorker::ExecWorker(const char* name, int (*start)()) { exec_workers()[name] = start; }

int run_exec_worker(int argc, char** argv) {
    const auto found = exec_workers().find(argc > 1 ? argv[1] : "");
    return found == exec_workers().end() ? 121 : found->second();
}

} // namespace test
