// SPDX-License-Identifier: MIT
#include <cohort/detail/system/rights.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <csignal>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

using cohort::detail::has_own_rights;

namespace {

/// Whether a child that has done this still has the rights of this process.
template <class Body>
bool has_after(Body body) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = test::fork_child([&] {
        body();
        [[maybe_unused]] const auto told = ::write(ends[1], "x", 1);
        ::pause();
        return 0;
    });
    char byte = 0;
    REQUIRE(::read(ends[0], &byte, 1) == 1);
    const bool result = has_own_rights(child);
    ::kill(child, SIGKILL);
    test::wait_for(child);
    ::close(ends[0]);
    ::close(ends[1]);
    return result;
}

} // namespace

TEST_CASE("a child has the rights of its parent until it gives them up") {
    CHECK(has_own_rights(::getpid()));
    CHECK(has_after([] {}));
    CHECK(has_after([] { ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }));
    if (::geteuid() == 0)
        CHECK_FALSE(has_after([] { [[maybe_unused]] const int failed = ::setresuid(65534, 65534, 65534); }));
    if (::geteuid() == 0)
        CHECK_FALSE(has_after([] { [[maybe_unused]] const int failed = ::setresgid(65534, 65534, 65534); }));
}

TEST_CASE("a process that is gone has no rights") {
    const pid_t child = test::fork_child([] { return 0; });
    test::wait_for(child);
    CHECK_FALSE(has_own_rights(child));
}
