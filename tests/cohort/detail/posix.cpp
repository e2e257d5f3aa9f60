// SPDX-License-Identifier: MIT
#include <cohort/detail/posix.hpp>

#include <doctest/doctest.h>

#include <cohort/detail/fd_passing.hpp>

#include <csignal>

#include <fcntl.h>

using namespace cohort::detail;

namespace {

struct Full final : System {
    ssize_t send(int, const void*, std::size_t) noexcept override {
        errno = ENOBUFS;
        return -1;
    }
};

} // namespace

TEST_CASE("a replacement answers in place of the kernel until it goes, also within another") {
    const auto [a, b] = make_socketpair(SOCK_STREAM);
    System& kernel = System::current();
    CHECK(kernel.send(a.get(), "x", 1) == 1);
    {
        Full full;
        const System::Replace outer(full);
        CHECK(System::current().send(a.get(), "x", 1) == -1);
        CHECK(last_error() == std::errc::no_buffer_space);
        {
            System plain;
            const System::Replace inner(plain);
            CHECK(System::current().send(a.get(), "x", 1) == 1);
        }
        CHECK(System::current().send(a.get(), "x", 1) == -1);
    }
    CHECK(&System::current() == &kernel);
}

TEST_CASE("no call waits, and none raises SIGPIPE") {
    auto [a, b] = make_socketpair(SOCK_STREAM);
    ::fcntl(a.get(), F_SETFL, 0); // even when somebody made the socket blocking
    char byte = 0;
    CHECK(System::current().recv(a.get(), &byte, 1) == -1);
    CHECK(would_block(errno));
    b.reset();
    auto* const previous = ::signal(SIGPIPE, SIG_DFL);
    CHECK(System::current().send(a.get(), "x", 1) == -1);
    CHECK(errno == EPIPE);
    ::signal(SIGPIPE, previous);
}

TEST_CASE("a failed call becomes an exception that names it") {
    errno = EACCES;
    CHECK_THROWS_WITH_AS(throw_last_error("bind"), doctest::Contains("bind"), std::system_error);
}
