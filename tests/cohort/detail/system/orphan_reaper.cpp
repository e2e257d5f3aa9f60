// SPDX-License-Identifier: MIT
#include <cohort/detail/system/orphan_reaper.hpp>

#include <doctest/doctest.h>

#include "support/child.hpp"

#include <csignal>
#include <set>

#include <sys/prctl.h>

using namespace cohort::detail;

namespace {

/// An ended child that nobody has reaped yet.
pid_t zombie(int code) {
    const pid_t pid = test::fork_child([code] { return code; });
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
    return pid;
}

bool is_child(pid_t pid) {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

TEST_CASE("strangers are reaped, ours are not, and say when one of them is in front") {
    CHECK(test::in_child([] {
              if (!reap_strangers([](pid_t) { return false; })) return 1; // no children at all
              std::set<pid_t> ours;
              const auto is_ours = [&](pid_t pid) { return ours.contains(pid); };
              const pid_t first = zombie(3);
              const pid_t second = zombie(4);
              if (!reap_strangers(is_ours) || is_child(first) || is_child(second)) return 2;
              const pid_t before = zombie(5);
              ours.insert(zombie(6));
              const pid_t behind = zombie(7);
              if (reap_strangers(is_ours)) return 3; // one of ours is there
              if (is_child(before)) return 4;
              if (!is_child(behind)) return 5;                  // hidden
              if (test::wait_for(*ours.begin()) != 6) return 6; // still has its status
              if (!reap_strangers(is_ours) || is_child(behind)) return 7;
              const pid_t alive = test::fork_child([] { return ::pause(); });
              if (!reap_strangers(is_ours) || !is_child(alive)) return 8;
              ::kill(alive, SIGKILL);
              ::waitpid(alive, nullptr, 0);
              return 0;
          }) == 0);
}

TEST_CASE("a process inherits orphans when it was made a subreaper") {
    CHECK_FALSE(inherits_orphans());
    CHECK(test::in_child([] {
              ::prctl(PR_SET_CHILD_SUBREAPER, 1);
              return inherits_orphans() ? 0 : 1;
          }) == 0);
}

} // namespace
