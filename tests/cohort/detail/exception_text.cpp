// SPDX-License-Identifier: MIT
#include <cohort/detail/exception_text.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

namespace {

template <class T>
std::string text_of(T thrown) {
    try {
        throw thrown;
    } catch (...) {
        return cohort::detail::exception_text();
    }
}

} // namespace

TEST_CASE("an exception of any type has a text") {
    CHECK(text_of(std::runtime_error("broken")) == "broken");
    for (const std::string& text : {text_of(42), text_of("text"), text_of(std::string("text"))})
        CHECK(text == "something was thrown that is not a std::exception");
}
