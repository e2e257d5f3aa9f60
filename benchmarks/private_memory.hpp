// SPDX-License-Identifier: MIT
// What a process alone has of the machine's memory.
#pragma once

#include <fstream>
#include <string>

#include <sys/types.h>

/// What nobody else has, not even the process that has forked it, in KiB: proc(5), smaps_rollup.
inline double private_memory(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
    double sum = 0;
    for (std::string name; file >> name;) {
        double value = 0;
        if (name == "Private_Clean:" || name == "Private_Dirty:") file >> value;
        sum += value;
    }
    return sum;
}
