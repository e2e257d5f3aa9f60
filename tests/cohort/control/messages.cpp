// SPDX-License-Identifier: MIT
#include <cohort/control/messages.hpp>

#include <cohort/detail/control_socket/encoded_value.hpp>

#include <doctest/doctest.h>

#include <future>
#include <string>
#include <system_error>

using cohort::Errc;
using cohort::ExitStatus;
using cohort::control::Failure;
using cohort::detail::from_bytes;
using cohort::detail::to_bytes;

TEST_CASE("an error arrives as it was, or as call_failed with its words") {
    const std::error_code kept[] = {
        {},
        make_error_code(Errc::no_such_worker),
        {ENOENT, std::system_category()},
        std::make_error_code(std::errc::timed_out),
    };
    for (const std::error_code error : kept) {
        CAPTURE(error.message());
        const auto arrived = from_bytes<Failure>(to_bytes(Failure::of(error)));
        CHECK(arrived.code() == error);
        CHECK(arrived.text == (error ? error.message() : ""));
    }
    const auto foreign = from_bytes<Failure>(to_bytes(Failure::of(std::make_error_code(std::future_errc::no_state))));
    CHECK(foreign.code() == Errc::call_failed);
    CHECK(foreign.text == std::make_error_code(std::future_errc::no_state).message());
    CHECK(Failure::of(Errc::closed, "of its own").text == "of its own");
}

TEST_CASE("how a process ended arrives as it was") {
    for (const ExitStatus status : {ExitStatus(), ExitStatus::unknown(), ExitStatus::exited(3),
                                    ExitStatus::signaled(SIGKILL), ExitStatus::signaled(SIGSEGV, true)})
        CHECK(from_bytes<ExitStatus>(to_bytes(status)) == status);
    auto bytes = to_bytes(ExitStatus::exited(3));
    bytes[0] = std::byte{9};
    CHECK_THROWS_AS(from_bytes<ExitStatus>(bytes), std::system_error);
}
