// SPDX-License-Identifier: MIT
// Passed: the descriptors that came with one frame (layer 3).
#pragma once

#include <cohort/detail/system/unique_fd.hpp>

#include <cstddef>
#include <vector>

namespace cohort::detail {

struct Passed {
    std::vector<UniqueFd> descriptors;
    bool lost = false;     ///< some did not fit in this process
    std::size_t count = 0; ///< how many they were when they came
};

} // namespace cohort::detail
