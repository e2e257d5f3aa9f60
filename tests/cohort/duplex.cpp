// SPDX-License-Identifier: MIT
#include <cohort/duplex.hpp>

#include <doctest/doctest.h>

#include <string>
#include <type_traits>

namespace {

using cohort::Duplex;
using cohort::detail::ToMasterOf;
using cohort::detail::ToWorkerOf;

TEST_CASE("a plain message type goes both ways") {
    CHECK(std::is_same_v<ToWorkerOf<int>, int>);
    CHECK(std::is_same_v<ToMasterOf<int>, int>);
}

TEST_CASE("a Duplex names a type for each direction") {
    CHECK(std::is_same_v<ToWorkerOf<Duplex<int, std::string>>, int>);
    CHECK(std::is_same_v<ToMasterOf<Duplex<int, std::string>>, std::string>);
}

} // namespace
