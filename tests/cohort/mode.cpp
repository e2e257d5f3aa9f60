// SPDX-License-Identifier: MIT
// Listening, as it is in both modes: addresses and errors, sharing a port, closing, and no connection lost.
#include <cohort/mode.hpp>

#include <cohort/detail/socket/listen_socket.hpp>

#include <asio/io_context.hpp>

#include "support/client.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace test;

namespace {

/// A path that no other test uses.
Endpoint unix_endpoint(unsigned mode = 0600) {
    static int count = 0;
    const std::string name = "cohort-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count) + ".sock";
    return Endpoint::unix_path(std::filesystem::temp_directory_path() / name, mode);
}

Endpoint shared_endpoint; // for bodies, set before the fork

template <class W>
Task<> serve_shared_endpoint(W& self) {
    auto listener = co_await self.listen(shared_endpoint);
    co_await serve(self, listener);
}

TEST_CASE_TEMPLATE("port 0 is the same free port in all workers, and their events say which", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        for (int i = 0; i < 4; ++i) app.spawn(server);
        std::set<std::uint16_t> ports;
        for (int i = 0; i < 4; ++i) {
            const Event event = co_await next(app, WorkerState::listening);
            ports.insert(event.endpoint->port());
            CHECK(event.endpoint->host() == "127.0.0.1");
        }
        CHECK(ports.size() == 1);
        CHECK(*ports.begin() != 0);
        std::set<WorkerId> served;
        for (int i = 0; i < 500 && served.size() < 4; ++i) {
            const std::string reply = co_await ask(app, *ports.begin());
            served.insert(who(reply));
        }
        CHECK(served == std::set<WorkerId>{1, 2, 3, 4});
    });
}

TEST_CASE_TEMPLATE("an endpoint without host serves IPv4 and IPv6", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        shared_endpoint = Endpoint(0);
        app.spawn(serve_shared_endpoint<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        std::string reply = co_await ask(app, Endpoint::tcp("127.0.0.1", port));
        CHECK(who(reply) == 1);
        if (!std::filesystem::exists("/proc/net/if_inet6")) co_return;
        reply = co_await ask(app, Endpoint::tcp("::1", port));
        CHECK(who(reply) == 1);
    });
}

template <class W>
Task<> listen_until_it_works(W& self) {
    for (;;) {
        const std::string result = co_await try_to_listen(self, shared_endpoint);
        co_await say(self, result);
        if (result == "listening") co_return;
        co_await self.receive();
    }
}

TEST_CASE_TEMPLATE("an address in use is the listening worker's error, and it can try again", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        std::error_code error;
        auto holder = detail::open_listener(any_port(), false, 1, error);
        shared_endpoint = detail::local_endpoint(holder.get());
        const WorkerId worker = app.spawn(listen_until_it_works<typename A::Worker>);
        auto result = co_await mail(app);
        CHECK(result.message.text == "Address already in use");
        holder.reset();
        co_await tell(app, worker, "again");
        result = co_await mail(app);
        CHECK(result.message.text == "listening");
    });
}

template <class W>
Task<> listen_nowhere(W& self) {
    const std::string foreign = co_await try_to_listen(self, Endpoint("192.0.2.1:0"));
    const std::string missing = co_await try_to_listen(self, Endpoint("unix:/nonexistent/socket"));
    const std::string forbidden = co_await try_to_listen(self, Endpoint("unix:/cohort-test-forbidden"));
    const std::string good = co_await try_to_listen(self, any_port());
    co_await say(self, foreign + ", " + missing + ", " + forbidden + ", " + good);
}

TEST_CASE_TEMPLATE("what the system says of an address reaches the worker, which can listen elsewhere", A, App,
                   SharedApp) {
    Helper helper([] {
        if (::getuid() == 0 && (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0))
            return 1;
        in_master<A>(plain_options(), [](A& app) -> Task<> {
            app.spawn(listen_nowhere<typename A::Worker>);
            const auto results = co_await mail(app);
            std::cout << results.message.text << std::endl;
        });
        return 0;
    });
    CHECK(helper.line() == "Cannot assign requested address, No such file or directory, Permission denied, listening");
    CHECK(helper.wait().code() == 0);
}

template <class A>
Task<> second_cluster(A& first) {
    first.spawn(server);
    const std::uint16_t port = co_await served_port(first);
    Options options = plain_options();
    options.listen = {Endpoint::tcp("127.0.0.1", port)};
    CHECK_THROWS_WITH_AS(A(first.context(), options), doctest::Contains("Address already in use"), std::system_error);
    A second(first.context(), plain_options());
    shared_endpoint = Endpoint::tcp("127.0.0.1", port);
    second.spawn(listen_until_it_works<typename A::Worker>);
    const auto result = co_await mail(second);
    CHECK(result.message.text == "Address already in use");
}

TEST_CASE_TEMPLATE("two clusters cannot share a port by accident", A, App, SharedApp) {
    in_master<A>(plain_options(), second_cluster<A>);
}

TEST_CASE_TEMPLATE("a Unix socket has the permissions asked for, serves, and its file goes with the last listener", A,
                   App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        shared_endpoint = unix_endpoint(0660);
        const char* const path = shared_endpoint.path().c_str();
        for (int i = 0; i < 2; ++i) app.spawn(serve_shared_endpoint<typename A::Worker>);
        const Event event = co_await next(app, WorkerState::listening);
        CHECK(event.endpoint->path() == shared_endpoint.path());
        co_await next(app, WorkerState::listening);
        struct stat status {};
        REQUIRE(::stat(path, &status) == 0);
        CHECK((status.st_mode & 0777U) == 0660U);
        app.disconnect(1);
        co_await end_of(app, 1);
        const std::string reply = co_await ask(app, shared_endpoint);
        CHECK(who(reply) == 2);
        app.disconnect(2);
        co_await end_of(app, 2);
        CHECK_FALSE(std::filesystem::exists(path));
    });
}

TEST_CASE_TEMPLATE("a Unix socket's file is gone after a master that opened it", A, App, SharedApp) {
    Options options = plain_options();
    const Endpoint endpoint = unix_endpoint();
    options.listen = {endpoint};
    {
        asio::io_context io(1);
        A app(io, options);
        CHECK(std::filesystem::exists(endpoint.path()));
    }
    CHECK_FALSE(std::filesystem::exists(endpoint.path()));
}

/// Two ports of its own, and one of them twice.
template <class W>
Task<> listen_three_times(W& self) {
    auto first = co_await self.listen(any_port());
    auto second = co_await self.listen(any_port());
    auto again = co_await self.listen(Endpoint::tcp("127.0.0.1", second.port()));
    co_await say(self, first.port() != second.port() && again.port() == second.port() ? "right" : "wrong");
    auto socket = co_await first.accept();
    co_await answer(self, std::move(*socket));
    second.close();
    co_await serve(self, again);
}

TEST_CASE_TEMPLATE("a worker may listen on several ports, and on one of them twice", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        const WorkerId worker = app.spawn(listen_three_times<typename A::Worker>);
        const std::uint16_t first = co_await served_port(app);
        const std::uint16_t second = co_await served_port(app, 2);
        const auto ports = co_await mail(app);
        CHECK(ports.message.text == "right");
        auto early = crowd(app, Endpoint::tcp("127.0.0.1", second), 8); // some wait at the listener that closes
        std::string reply = co_await ask(app, first);
        CHECK(who(reply) == worker);
        const auto served = co_await answers(early);
        CHECK(served == std::map<WorkerId, int>{{worker, 8}});
        for (int i = 0; i < 8; ++i) {
            reply = co_await ask(app, second);
            CHECK(who(reply) == worker);
        }
    });
}

template <class W>
Task<> close_and_listen_again(W& self) {
    for (int i = 0; i < 20; ++i) {
        auto listener = co_await self.listen(shared_endpoint);
        if (i % 2 == 0) listener.close();
    }
    co_await say(self, "closed");
    const auto note = co_await self.receive();
    auto listener = co_await self.listen(shared_endpoint);
    co_await serve(self, listener);
}

TEST_CASE_TEMPLATE("closing and listening again leaves the siblings alone", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        const WorkerId steady = app.spawn(server);
        const std::uint16_t port = co_await served_port(app);
        shared_endpoint = Endpoint("127.0.0.1:0"); // the same request as the sibling's
        const WorkerId changing = app.spawn(close_and_listen_again<typename A::Worker>);
        co_await mail(app);
        auto clients = crowd(app, Endpoint::tcp("127.0.0.1", port), 40);
        const auto alone = co_await answers(clients);
        CHECK(alone == std::map<WorkerId, int>{{steady, 40}});
        co_await tell(app, changing, "again");
        const std::uint16_t same = co_await served_port(app, 21);
        CHECK(same == port);
        std::set<WorkerId> served;
        for (int i = 0; i < 500 && served.size() < 2; ++i) {
            const std::string reply = co_await ask(app, port);
            served.insert(who(reply));
        }
        CHECK(served == std::set<WorkerId>{steady, changing});
    });
}

TEST_CASE_TEMPLATE("when the last worker closes its listener the port is free, and can be had again", A, App,
                   SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        std::error_code error;
        auto holder = detail::open_listener(any_port(), false, 1, error);
        shared_endpoint = detail::local_endpoint(holder.get());
        holder.reset();
        const WorkerId worker = app.spawn(close_and_listen_again<typename A::Worker>);
        co_await mail(app);
        while (holder = detail::open_listener(shared_endpoint, false, 1, error), error)
            co_await pause(app.context(), 1ms);
        holder.reset();
        co_await tell(app, worker, "again");
        co_await served_port(app, 21);
        const std::string reply = co_await ask(app, shared_endpoint);
        CHECK(who(reply) == worker);
    });
}

} // namespace
