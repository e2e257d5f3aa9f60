// SPDX-License-Identifier: MIT
// Ports that only a privileged process may listen on, in both modes.
#include <cohort/mode.hpp>

#include <cohort/detail/socket/listen_socket.hpp>

#include <asio/io_context.hpp>

#include "support/client.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <system_error>

#include <grp.h>
#include <unistd.h>

using namespace test;

namespace {

/// Every port below is privileged: ip(7).
unsigned first_unprivileged() {
    unsigned port = 1024;
    std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> port;
    return port;
}

bool may_bind(std::uint16_t port) {
    std::error_code error;
    return static_cast<bool>(detail::open_bound(Endpoint::tcp("127.0.0.87", port), false, error));
}

/// Gives up being root, for good.
bool become_nobody() {
    return ::getuid() != 0 || (::setgroups(0, nullptr) == 0 && ::setresgid(65534, 65534, 65534) == 0 &&
                               ::setresuid(65534, 65534, 65534) == 0);
}

/// A privileged port that nobody has; 0: there is none, or this process may not have it.
std::uint16_t privileged_port() {
    std::mt19937 random(static_cast<unsigned>(::getpid()));
    const unsigned count = std::min(first_unprivileged(), 1024U);
    for (int i = 0; count > 1 && i < 50; ++i) {
        const auto port = static_cast<std::uint16_t>(1 + random() % (count - 1));
        if (may_bind(port)) return port;
    }
    return 0;
}

Endpoint wanted; // for bodies, set before the fork

template <class W>
Task<> listen_or_say_why(W& self) {
    std::string result;
    try {
        const auto shared = co_await self.listen(wanted);
    } catch (const std::system_error& error) {
        result = error.code().message();
    }
    try {
        const auto own = co_await self.listen(wanted, exclusive);
    } catch (const std::system_error& error) {
        result += ", " + error.code().message();
    }
    const auto elsewhere = co_await self.listen(any_port());
    co_await say(self, result + ", listening");
}

template <class A>
int try_as_nobody() {
    wanted = Endpoint::tcp("127.0.0.87", 1);
    if (!become_nobody() || may_bind(1)) {
        std::cout << "permitted" << std::endl;
        return 0;
    }
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        const WorkerId worker = app.spawn(listen_or_say_why<typename A::Worker>);
        const auto said = co_await mail(app);
        const Event end = co_await end_of(app, worker);
        std::cout << said.message.text << ", ended with " << end.status->code().value_or(-1) << std::endl;
    });
    Options options = plain_options();
    options.listen = {wanted};
    asio::io_context io(1);
    try {
        const A app(io, options);
    } catch (const std::system_error& error) {
        std::cout << error.what() << std::endl;
    }
    return 0;
}

TEST_CASE_TEMPLATE("without the right to a port the worker is told so, lives on, and ends with code 0", A, App,
                   SharedApp) {
    Helper helper(try_as_nobody<A>);
    const auto said = helper.line();
    CHECK(helper.wait().code() == 0);
    if (said == "permitted") {
        MESSAGE("skipped: here every user may listen on every port, or root stays root");
        return;
    }
    CHECK(said == "Permission denied, Permission denied, listening, ended with 0");
    CHECK(helper.line() == "listen on 127.0.0.87:1: Permission denied");
}

template <class W>
Task<> serve_without_privileges(W& self) {
    std::string own = "permitted";
    try {
        const auto listener = co_await self.listen(Endpoint::tcp("127.0.0.88", wanted.port()), exclusive);
    } catch (const std::system_error& error) {
        own = error.code().message();
    }
    co_await say(self, own);
    auto listener = co_await self.listen(wanted);
    co_await serve(self, listener);
}

TEST_CASE_TEMPLATE("workers that have no right to a port serve it, since their master has opened it", A, App,
                   SharedApp) {
    const std::uint16_t port = ::getuid() == 0 ? privileged_port() : std::uint16_t{0};
    if (port == 0) {
        MESSAGE("skipped: only root may listen on ports that others may not, and no such port is free");
        return;
    }
    wanted = Endpoint::tcp("127.0.0.87", port);
    Options options = plain_options();
    options.restart = Restart::permanent;
    options.worker.uid = 65534;
    options.worker.gid = 65534;
    options.may_listen = {wanted};
    in_master<A>(options, [](A& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(serve_without_privileges<typename A::Worker>);
        co_await served_port(app, 2);
        for (int i = 0; i < 2; ++i) {
            const auto own = co_await mail(app);
            CHECK(own.message.text == "Permission denied");
        }
        auto clients = crowd(app, wanted, 10);
        auto served = co_await answers(clients);
        CHECK_FALSE(served.contains(0));
        // A successor serves it too.
        app.kill(1, SIGKILL);
        co_await end_of(app, 1);
        const WorkerId another = app.spawn(serve_without_privileges<typename A::Worker>);
        co_await served_port(app);
        CHECK(another == 3);
        app.disconnect(2);
        co_await end_of(app, 2);
        clients = crowd(app, wanted, 10);
        served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{another, 10}});
    });
}

} // namespace
