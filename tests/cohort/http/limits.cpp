// SPDX-License-Identifier: MIT
// The limits a server has when none are chosen.
#include <cohort/http/limits.hpp>

#include <doctest/doctest.h>

using namespace cohort;

TEST_CASE("limits have the documented defaults, and each can be chosen by name") {
    const http::Limits limits{};
    CHECK(limits.head == 32 * 1024);
    CHECK(limits.fields == 100);
    CHECK(limits.target == 16 * 1024);
    CHECK(limits.body == 1024 * 1024);
    const http::Limits chosen{.body = 7};
    CHECK(chosen.body == 7);
    CHECK(chosen.head == limits.head);
}
