// SPDX-License-Identifier: MIT
#include <cohort/detail/serialize/type_name.hpp>

#include <doctest/doctest.h>

#include <string_view>
#include <vector>

namespace type_name_test {

struct Plain {};
enum class Colour { red };
template <class T>
struct Box {};

} // namespace type_name_test

namespace {

using cohort::detail::type_name;

TEST_CASE("a type's name has its namespaces and nothing else") {
    CHECK(type_name<int>() == "int");
    CHECK(type_name<double>() == "double");
    CHECK(type_name<type_name_test::Plain>() == "type_name_test::Plain");
    CHECK(type_name<type_name_test::Colour>() == "type_name_test::Colour");
    CHECK(type_name<type_name_test::Box<int>>() == "type_name_test::Box<int>");
    CHECK(type_name<type_name_test::Box<double>>() == "type_name_test::Box<double>");
}

TEST_CASE("a name is known at compile time") {
    static_assert(type_name<unsigned>() != type_name<int>());
    static_assert(!type_name<std::vector<bool>>().empty());
}

} // namespace
