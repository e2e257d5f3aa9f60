// SPDX-License-Identifier: MIT
#include "exec_worker.hpp"

#include <cstdlib>
#include <map>
#include <string>

#include <unistd.h>

namespace test {

namespace {

std::map<std::string, int (*)()>& exec_workers() {
    static std::map<std::string, int (*)()> workers;
    return workers;
}

int (*next_master)() = nullptr;

} // namespace

NextMaster::NextMaster(int (*start)()) { next_master = start; }

int run_next_master() { return std::getenv(NextMaster::variable) == nullptr ? ::pause() : next_master(); }

ExecWorker::ExecWorker(const char* name, int (*start)()) { exec_workers()[name] = start; }

int run_exec_worker(int argc, char** argv) {
    const auto found = exec_workers().find(argc > 1 ? argv[1] : "");
    return found == exec_workers().end() ? 121 : found->second();
}

} // namespace test
