// SPDX-License-Identifier: MIT
#include <cohort/detail/system/system.hpp>

#include <doctest/doctest.h>

#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/error.hpp>

#include <support/child.hpp>

#include <csignal>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace cohort::detail;

namespace {

struct Full final : System {
    ssize_t send(int, const msghdr*) noexcept override {
        errno = ENOBUFS;
        return -1;
    }
};

ssize_t send_one(System& system, const UniqueFd& socket) {
    constexpr std::byte byte{};
    SocketMessage message(std::span(&byte, 1), {});
    return system.send(socket.get(), message.get());
}

} // namespace

TEST_CASE("a replacement answers in place of the kernel until it goes, also within another") {
    const auto [a, b] = make_socketpair(SOCK_STREAM);
    System& kernel = System::current();
    CHECK(send_one(kernel, a) == 1);
    {
        Full full;
        const System::Replace outer(full);
        CHECK(send_one(System::current(), a) == -1);
        CHECK(last_error() == std::errc::no_buffer_space);
        {
            System plain;
            const System::Replace inner(plain);
            CHECK(send_one(System::current(), a) == 1);
        }
        CHECK(send_one(System::current(), a) == -1);
    }
    CHECK(&System::current() == &kernel);
}

TEST_CASE("no call waits, and none raises SIGPIPE") {
    auto [a, b] = make_socketpair(SOCK_STREAM);
    ::fcntl(a.get(), F_SETFL, 0); // even when somebody made the socket blocking
    std::byte byte{};
    SocketMessage message(std::span(&byte, 1));
    CHECK(System::current().recv(a.get(), message.get()) == -1);
    CHECK(would_block(errno));
    b.reset();
    auto* const previous = ::signal(SIGPIPE, SIG_DFL);
    CHECK(send_one(System::current(), a) == -1);
    CHECK(errno == EPIPE);
    ::signal(SIGPIPE, previous);
}

TEST_CASE("a failed call becomes an exception that names it") {
    errno = EACCES;
    CHECK_THROWS_WITH_AS(throw_last_error("bind"), doctest::Contains("bind"), std::system_error);
}

TEST_CASE("how many descriptors more can be opened is seen by the limit and the next one's number") {
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const UniqueFd next = duplicate(0);
    const auto number = static_cast<rlim_t>(next.get());
    rlimit limit = before;
    limit.rlim_cur = number + 11;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    const bool ten = can_open(10);
    const bool eleven = can_open(11);
    limit.rlim_cur = number + 1;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    const bool one = can_open(1);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(ten);
    CHECK_FALSE(eleven);
    CHECK_FALSE(one);
}

TEST_CASE("one of many users has a share of the descriptors, and few of the last ones") {
    const int result = test::in_child([] {
        const rlimit limit{128, 128};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
        const std::size_t share = cohort::detail::share_of_descriptors();
        if (share != 16) return 2;
        if (cohort::detail::may_cause_more(share - 1)) return 3;
        if (cohort::detail::may_cause_more(share) != cohort::Errc::too_many) return 4;
        while (cohort::detail::can_open(2 * share)) ::dup(0);
        if (cohort::detail::may_cause_more(8) != std::errc::too_many_files_open) return 5;
        return cohort::detail::may_cause_more(7) ? 6 : 0;
    });
    CHECK(result == 0);
}
