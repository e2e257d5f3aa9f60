// SPDX-License-Identifier: MIT
// The first of two units with everything in them, in the header-only way; see second.cpp.
#include <cohort.hpp>

namespace odr {

const std::error_category* first_category() { return &cohort::error_category(); }

cohort::Task<int> first_task() { co_return COHORT_VERSION_MINOR; }

} // namespace odr
