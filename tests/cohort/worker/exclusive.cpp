// SPDX-License-Identifier: MIT
// A port that one worker has for itself.
#include <cohort/worker.hpp>

#include <cohort/detail/socket/listen_socket.hpp>
#include <cohort/detail/worker/worker_core.hpp>

#include "support/client.hpp"

#include <filesystem>

using namespace test;

namespace {

template <class W>
Task<> exclusive_host(W& self) {
    auto listener = co_await self.listen(any_port(), exclusive);
    co_await keep_all(self, listener);
}

TEST_CASE_TEMPLATE("every worker has a port of its own", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        std::map<WorkerId, std::uint16_t> ports;
        for (int i = 0; i < 3; ++i) app.spawn(exclusive_host<typename A::Worker>);
        for (int i = 0; i < 3; ++i) {
            const Event event = co_await next(app, WorkerState::listening);
            ports[event.worker] = event.endpoint->port();
        }
        REQUIRE(ports.size() == 3);
        for (const auto& [worker, port] : ports) {
            for (int i = 0; i < 3; ++i) {
                Client client(app.context(), port);
                const std::string greeting = co_await client.read_line();
                CHECK(who(greeting) == worker);
            }
        }
        // It goes with the worker.
        app.kill(2, SIGKILL);
        co_await end_of(app, 2);
        CHECK_THROWS_AS(Client(app.context(), ports[2]), std::system_error);
    });
}

/// Tries the port it is told.
template <class W>
Task<> try_exclusive(W& self) {
    const auto note = co_await self.receive();
    std::string outcome = "listening";
    try {
        auto listener =
            co_await self.listen(Endpoint::tcp("127.0.0.1", static_cast<std::uint16_t>(note->number)), exclusive);
    } catch (const std::system_error& error) {
        outcome = error.code() == std::errc::address_in_use ? "in use" : error.what();
    }
    co_await say(self, outcome);
    co_await self.until_stopping();
}

TEST_CASE_TEMPLATE("an address that another worker or the cluster has is in use", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        app.spawn(exclusive_host<typename A::Worker>);
        const std::uint16_t exclusive_port = co_await served_port(app);
        app.spawn(host);
        const std::uint16_t shared_port = co_await served_port(app);
        for (const std::uint16_t port : {exclusive_port, shared_port}) {
            const WorkerId worker = app.spawn(try_exclusive<typename A::Worker>);
            co_await tell(app, worker, "try", port);
            const auto outcome = co_await mail(app);
            CHECK(outcome.message.text == "in use");
        }
    });
}

/// On a socket that it has made itself, beside the one that it shares.
template <class W>
Task<> own_socket_host(W& self) {
    auto shared = co_await self.listen(any_port());
    std::error_code error;
    const auto socket = detail::open_bound(any_port(), false, error); // does not listen yet
    auto own = co_await self.listen(Endpoint::inherited(socket.get()), exclusive);
    co_await say(self, "own", own.port());
    spawn(self.context(), keep_all(self, shared));
    co_await keep_all(self, own);
}

TEST_CASE_TEMPLATE("a worker listens on a socket that it has made itself, and nobody else does", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(own_socket_host<typename A::Worker>);
        for (int i = 0; i < 2; ++i) {
            const auto own = co_await mail(app);
            for (int j = 0; j < 3; ++j) {
                Client client(app.context(), static_cast<std::uint16_t>(own.message.number));
                const std::string greeting = co_await client.read_line();
                CHECK(who(greeting) == own.from);
            }
        }
        const Event shared = co_await next(app, WorkerState::listening);
        Client client(app.context(), *shared.endpoint);
        const std::string greeting = co_await client.read_line();
        CHECK(who(greeting) != 0);
    });
}

template <class W>
Task<> exclusive_bad_descriptor(W& self) {
    std::string outcome;
    for (const int descriptor : {999'999, cohort::detail::Access::core(self).identity().control}) {
        try {
            const auto listener = co_await self.listen(Endpoint::inherited(descriptor), exclusive);
        } catch (const std::system_error& error) {
            outcome += error.code().message() + ", ";
        }
    }
    const auto listener = co_await self.listen(any_port(), exclusive);
    co_await say(self, outcome + "listening");
}

TEST_CASE("a descriptor of its own that cannot be listened on is an error, and the worker can listen elsewhere") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(exclusive_bad_descriptor<App::Worker>);
        const auto outcome = co_await mail(app);
        CHECK(outcome.message.text == "Bad file descriptor, Protocol wrong type for socket, listening");
    });
}

template <class W>
Task<> exclusive_path(W& self) {
    auto listener = co_await self.listen(Endpoint::unix_path(self.args().at(0)), exclusive);
    co_await keep_all(self, listener);
}

TEST_CASE("the path of a worker's own goes with its listener") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const std::string path =
            (std::filesystem::temp_directory_path() / ("cohort-exclusive-" + std::to_string(::getpid()) + ".sock"))
                .string();
        WorkerOptions surroundings;
        surroundings.args = {path};
        const WorkerId worker = app.spawn(exclusive_path<App::Worker>, surroundings);
        co_await served_port(app);
        {
            Client client(app.context(), Endpoint::unix_path(path));
            co_await client.read_line();
        }
        app.disconnect(worker);
        co_await end_of(app, worker);
        CHECK_FALSE(std::filesystem::exists(path));
    });
}

/// Accepts nothing until it is asked to leave.
template <class W>
Task<> exclusive_when_stopping(W& self) {
    auto listener = co_await self.listen(any_port(), exclusive);
    co_await self.until_stopping();
    co_await serve(self, listener);
}

TEST_CASE("whoever had connected before the worker was asked to leave is served") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(exclusive_when_stopping<App::Worker>);
        const std::uint16_t port = co_await served_port(app);
        auto clients = crowd(app, Endpoint::tcp("127.0.0.1", port), 20);
        app.disconnect(worker);
        const auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{worker, 20}});
        co_await end_of(app, worker);
    });
}

} // namespace
