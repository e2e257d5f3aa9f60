// SPDX-License-Identifier: MIT
// Methods and their names.
#include <cohort/http/method.hpp>

#include <doctest/doctest.h>

#include <cstddef>

using namespace cohort;

TEST_CASE("every method has the name it is found by") {
    for (std::size_t i = 0; i != http::detail::method_names.size(); ++i) {
        const auto method = static_cast<http::Method>(i);
        CHECK(http::to_method(to_string(method)) == method);
    }
    CHECK(to_string(http::Method::del) == "DELETE");
    CHECK(to_string(http::Method::msearch) == "M-SEARCH");
    CHECK(to_string(http::Method::unlink) == "UNLINK");
    CHECK_FALSE(http::to_method("get"));
    CHECK_FALSE(http::to_method(""));
}
