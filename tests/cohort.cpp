// SPDX-License-Identifier: MIT
#include <cohort.hpp>

#include <doctest/doctest.h>

#include <string>

TEST_CASE("the version is the same in all of its forms and in the build system") {
    const std::string parts = std::to_string(COHORT_VERSION_MAJOR) + "." + std::to_string(COHORT_VERSION_MINOR) + "." +
                              std::to_string(COHORT_VERSION_PATCH);
    CHECK(parts == COHORT_VERSION_STRING);
    CHECK(parts == COHORT_BUILD_VERSION);
}
