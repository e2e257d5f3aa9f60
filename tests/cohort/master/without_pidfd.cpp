// SPDX-License-Identifier: MIT
// A cluster where the kernel, a filter in front of it, or an emulator has no pidfds.
#include <cohort/master.hpp>

#include "support/cluster.hpp"
#include "support/process.hpp"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

using namespace test;

namespace {

/// From now on this system call fails with this error, here and in all children (seccomp(2)).
bool refuse(int call, int error) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{std::size(filter), filter};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

constexpr int no_filters = 77;

/// Works, crashes, is killed, is replaced, and is asked to leave.
Task<> whole_life(App& app) {
    const WorkerId first = app.spawn(echo<App::Worker>);
    co_await tell(app, first, "hello");
    const auto answer = co_await mail(app);
    if (answer.message.text != "hello") throw std::logic_error("wrong answer");
    app.kill(first, SIGTRAP);
    const Event crash = co_await end_of(app, first);
    if (crash.status != ExitStatus::signaled(SIGTRAP)) throw std::logic_error("not the signal");
    const Event successor = co_await next(app, WorkerState::online);
    const ReloadReport report = co_await app.reload();
    if (report.error) throw std::system_error(report.error);
    const Event old = co_await end_of(app, successor.worker);
    if (old.status != ExitStatus::exited(0)) throw std::logic_error("the old one did not leave");
    const WorkerId second = app.spawn(spin<App::Worker>);
    co_await mail(app);
    app.kill(second, SIGKILL);
    const Event killed = co_await end_of(app, second);
    if (killed.status != ExitStatus::signaled(SIGKILL)) throw std::logic_error("not killed");
    co_await app.stop();
}

TEST_CASE("a cluster lives as ever where pidfds are refused") {
    struct Row {
        int call;
        int error;
    };
    for (const Row& row : {Row{SYS_pidfd_open, ENOSYS}, Row{SYS_pidfd_open, EPERM}, Row{SYS_pidfd_send_signal, EPERM},
                           Row{SYS_pidfd_send_signal, ENOSYS}}) {
        CAPTURE(row.call);
        CAPTURE(row.error);
        Helper master([&row] {
            if (!refuse(row.call, row.error)) return no_filters;
            Options options = permanent_options();
            options.backoff.at_once = 100;
            in_master<App>(options, whole_life);
            return 0;
        });
        const int code = master.wait().code().value_or(-1);
        CHECK((code == 0 || code == no_filters));
    }
}

#if !defined(COHORT_SANITIZED)
TEST_CASE("a cluster runs under valgrind, where that is installed") {
    if (std::system("command -v valgrind >/dev/null") != 0) {
        MESSAGE("valgrind is not installed");
        return;
    }
    const std::string command =
        "valgrind -q --error-exitcode=99 --log-file=/dev/null " COHORT_EXAMPLE_DIR "/messages >/dev/null";
    CHECK(std::system(command.c_str()) == 0);
}
#endif

} // namespace
