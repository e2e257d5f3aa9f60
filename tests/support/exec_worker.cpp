// SPDX-License-Identifier: MIT
#include "exec_worker.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>

#include <unistd.h>

namespace test {

namespace {

using Starts = std::map<std::string, int (*)()>;

Starts& exec_workers() {
    static Starts workers;
    return workers;
}

Starts& next_masters() {
    static Starts masters;
    return masters;
}

std::string of_next_master() {
    const char* const value = std::getenv(NextMaster::variable);
    return value == nullptr ? "" : value;
}

} // namespace

NextMaster::NextMaster(const char* name, int (*start)()) { next_masters()[name] = start; }

std::string NextMaster::argument() {
    const std::string value = of_next_master();
    return value.substr(std::min(value.find(' '), value.size() - 1) + 1);
}

int run_next_master() {
    const std::string value = of_next_master();
    return value.empty() ? ::pause() : next_masters().at(value.substr(0, value.find(' ')))();
}

ExecWorker::ExecWorker(const char* name, int (*start)()) { exec_workers()[name] = start; }

int run_exec_worker(int argc, char** argv) {
    const auto found = exec_workers().find(argc > 1 ? argv[1] : "");
    return found == exec_workers().end() ? 121 : found->second();
}

} // namespace test
