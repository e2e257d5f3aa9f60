// SPDX-License-Identifier: MIT
// The first of two translation units with everything in them; see odr_2.cpp.
#include <cohort.hpp>

namespace odr {

const std::error_category* first_category() { return &cohort::error_category(); }

cohort::Task<int> first_task() { co_return COHORT_VERSION_MINOR; }

} // namespace odr
