// SPDX-License-Identifier: MIT
// Counts what a thread allocates, and has one of its allocations fail. Not under a sanitizer, which has an allocator of
// its own. The operators are in cohort/http/router.cpp.
#pragma once

namespace test {

struct Allocations {
    bool counted = false; ///< from now on, on this thread
    int count = 0;
    int fails = 0; ///< the one that fails; 0: none
};

inline thread_local constinit Allocations allocations;

} // namespace test
