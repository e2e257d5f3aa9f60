// SPDX-License-Identifier: MIT
// A worker whose link to the master has gone while it listened.
#include <cohort/worker.hpp>

#include <cohort/detail/worker/worker_core.hpp>

#include "support/client.hpp"
#include "support/process.hpp"

#include <iostream>

#include <sys/prctl.h>

using namespace test;

namespace {

/// Cuts its own link when it is told to, as an error in the kernel or in the worker would.
template <class W>
Task<> cut_off_when_told(W& self) {
    const auto note = co_await self.receive();
    ::shutdown(cohort::detail::Access::core(self).identity().control, SHUT_RDWR);
}
template <class W>
Task<int> serve_until_cut_off(W& self) {
    spawn(self.context(), cut_off_when_told(self));
    co_await server(self);
    co_return self.connected() || !self.stopping() ? 1 : 0;
}

TEST_CASE_TEMPLATE("a worker that loses its link while it listens leaves with code 0, and a successor serves", A, App,
                   SharedApp) {
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.listen = {any_port()};
    in_master<A>(options, [](A& app) -> Task<> {
        const WorkerId worker = app.spawn(serve_until_cut_off<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        std::string reply = co_await ask(app, port);
        CHECK(who(reply) == worker);
        co_await tell(app, worker, "cut");
        const Event end = co_await end_of(app, worker);
        CHECK(end.status->success());
        CHECK_FALSE(end.voluntary);
        auto clients = crowd(app, Endpoint::tcp("127.0.0.1", port), 20); // nobody listens yet
        co_await served_port(app);
        const auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{2, 20}});
    });
}

/// A master that says when its two workers listen.
template <class A>
int run_two_servers() {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(server);
        co_await served_port(app, 2);
        std::cout << "listening" << std::endl;
        co_await next(app, WorkerState::exited);
    });
    return 0;
}

/// Kills a master and sees how its workers end: they are this process's children from then on.
template <class A>
int adopt_the_workers() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    Helper master(run_two_servers<A>);
    master.after("listening");
    master.signal(SIGKILL);
    master.wait();
    for (int i = 0; i < 2; ++i) {
        siginfo_t info{};
        if (::waitid(P_ALL, 0, &info, WEXITED) != 0) return 1;
        const ExitStatus end = ExitStatus::from_wait(info.si_code, info.si_status);
        std::cout << (end.success() ? "ended with code 0" : "failed") << std::endl;
    }
    return 0;
}

TEST_CASE_TEMPLATE("workers whose master was killed while they listened end with code 0", A, App, SharedApp) {
    Helper helper(adopt_the_workers<A>);
    CHECK(helper.after("ended") == " with code 0");
    CHECK(helper.after("ended") == " with code 0");
    CHECK(helper.wait().code() == 0);
}

} // namespace
