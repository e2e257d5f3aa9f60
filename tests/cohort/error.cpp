// SPDX-License-Identifier: MIT
#include <cohort/error.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <system_error>

using cohort::Errc;

TEST_CASE("an Errc becomes an error_code of cohort's category by itself") {
    const std::error_code error = Errc::closed;
    CHECK(error);
    CHECK(error.category() == cohort::error_category());
    CHECK(std::string(error.category().name()) == "cohort");
    CHECK(error == Errc::closed);
    CHECK(error != Errc::stopping);
}

TEST_CASE("every Errc has a message of its own, and an unknown value is called unknown") {
    const auto message = [](int value) { return cohort::error_category().message(value); };
    const std::string unknown = message(-1);
    CHECK(message(static_cast<int>(Errc::no_such_action) + 1) == unknown);

    std::set<std::string> messages{unknown};
    for (int value = 1; value <= static_cast<int>(Errc::too_many); ++value) {
        CAPTURE(value);
        CHECK(messages.insert(message(value)).second);
    }
}

TEST_CASE("cohort's errors are not confused with the system's") {
    const std::error_code ours = Errc::closed;
    const std::error_code theirs{ours.value(), std::system_category()};
    CHECK(ours != theirs);
}
