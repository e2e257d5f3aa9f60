// SPDX-License-Identifier: MIT
#include <cohort/detail/system/rights.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <csignal>

#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
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

namespace {

/// CAP_SYS_PTRACE shows everything of every process. False: it is not known here.
bool give_up_tracing() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    if (::syscall(SYS_capget, &header, data) != 0) return false;
    data[0].effective &= ~(1U << CAP_SYS_PTRACE);
    data[0].permitted &= ~(1U << CAP_SYS_PTRACE);
    return ::syscall(SYS_capset, &header, data) == 0;
}

void hide() { ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

int compare_hidden() {
    if (!give_up_tracing()) return 1;
    if (!has_after([] {})) return 2;
    if (!has_after(hide)) return 3;
    const auto leave_namespace = [] {
        if (::unshare(CLONE_NEWUSER) == 0)
            hide();
        else
            ::setresuid(65534, 65534, 65534); // no such namespaces here
    };
    return has_after(leave_namespace) ? 4 : 0;
}

} // namespace

TEST_CASE("a process that is not dumpable has its rights, and one that left the user namespace does not hide that so") {
    if (::geteuid() == 0)
        CHECK(test::in_child(compare_hidden) == 0);
    else
        MESSAGE("needs root");
}
