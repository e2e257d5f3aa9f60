// SPDX-License-Identifier: MIT
// Two translation units that include everything link into one program and share what must exist once.
#include <cohort.hpp>

#include <doctest/doctest.h>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

namespace odr {

const std::error_category* first_category();
cohort::Task<int> first_task();

static cohort::Task<> await_the_other_unit(int& result) { result = co_await first_task(); }

} // namespace odr

TEST_CASE("inline objects exist once in a program of several translation units") {
    CHECK(odr::first_category() == &cohort::error_category());
}

TEST_CASE("a task of one translation unit is awaited in another") {
    asio::io_context io;
    int result = -1;
    asio::co_spawn(io, odr::await_the_other_unit(result), asio::detached);
    io.run();
    CHECK(result == COHORT_VERSION_MINOR);
}
