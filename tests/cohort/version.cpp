// SPDX-License-Identifier: MIT
#include <cohort/version.hpp>

#include <doctest/doctest.h>

#if COHORT_VERSION_MAJOR * 10000 + COHORT_VERSION_MINOR * 100 + COHORT_VERSION_PATCH <= 0
#error "the version must be usable by the preprocessor"
#endif

TEST_CASE("the version is a string for people too") { CHECK(sizeof(COHORT_VERSION_STRING) > sizeof("0.0")); }
