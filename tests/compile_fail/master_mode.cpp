// SPDX-License-Identifier: MIT
// A mode that is none.
// expect-first: cohort: the second argument of Master must be a mode: RoundRobin, SharedSocket, or a type
#include <cohort/master.hpp>

struct Hit {
    std::string path;
};
struct Randomly {};

cohort::Master<Hit, Randomly>* cluster = nullptr;
auto size = sizeof(*cluster);
