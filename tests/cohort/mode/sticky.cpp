// SPDX-License-Identifier: MIT
#include <cohort/mode/sticky.hpp>

#include <asio/io_context.hpp>

#include "support/client.hpp"

#include <set>

using namespace test;

namespace {

using ByAddress = Master<Note, Sticky<>>;

/// The last digit of the client's port.
struct LastDigit {
    std::uint64_t operator()(const Arrival& connection) const { return connection.client().port() % 10; }
};
using ByPort = Master<Note, Sticky<LastDigit>>;

Client from(asio::io_context& io, int host, std::uint16_t port) {
    return Client(io, Endpoint::tcp("127.0.0.1", port), Endpoint::tcp("127.0.0." + std::to_string(host), 0));
}

template <class A>
Task<WorkerId> server_of(A& app, int host, std::uint16_t port) {
    Client client = from(app.context(), host, port);
    const std::string greeting = co_await client.read_line();
    co_return who(greeting);
}

TEST_CASE("one client address, one worker; many addresses, all workers") {
    in_master<ByAddress>(plain_options(), [](ByAddress& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(host);
        const std::uint16_t port = co_await served_port(app, 3);
        std::set<WorkerId> seen;
        for (int address = 1; address <= 40; ++address) {
            const WorkerId first = co_await server_of(app, address, port);
            const WorkerId second = co_await server_of(app, address, port);
            CHECK(first == second);
            seen.insert(first);
        }
        CHECK(seen.size() == 3);
    });
}

TEST_CASE("a client's slot stays the same when its worker is replaced") {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<ByAddress>(options, [](ByAddress& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(host);
        const std::uint16_t port = co_await served_port(app, 3);
        const WorkerId before = co_await server_of(app, 7, port);
        ::kill(app.workers().at(before - 1).pid, SIGKILL);
        co_await end_of(app, before);
        co_await served_port(app);
        const WorkerId after = co_await server_of(app, 7, port);
        CHECK(after == 4);
    });
}

TEST_CASE("while a slot is empty another one has its clients") {
    in_master<ByAddress>(plain_options(), [](ByAddress& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(host);
        const std::uint16_t port = co_await served_port(app, 2);
        const WorkerId before = co_await server_of(app, 7, port);
        app.kill(before, SIGKILL);
        co_await end_of(app, before);
        const WorkerId after = co_await server_of(app, 7, port);
        CHECK(after == 3 - before);
    });
}

TEST_CASE("a worker that has no room is waited for") {
    Options options = plain_options();
    options.connections_per_worker = 1;
    in_master<ByAddress>(options, [](ByAddress& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(host);
        const std::uint16_t port = co_await served_port(app, 2);
        auto first = std::make_unique<Client>(from(app.context(), 7, port));
        const std::string greeting = co_await first->read_line();
        Client second = from(app.context(), 7, port);
        // Others are served meanwhile.
        for (int address = 8;; ++address) {
            REQUIRE(address < 200);
            auto other = std::make_unique<Client>(from(app.context(), address, port));
            co_await pause(app.context(), 5ms);
            if (other->is_silent()) continue;
            const std::string others = co_await other->read_line();
            CHECK(others != greeting);
            break;
        }
        CHECK(second.is_silent());
        first.reset();
        const std::string same = co_await second.read_line();
        CHECK(same == greeting);
    });
}

TEST_CASE("a key of the user's decides") {
    in_master<ByPort>(plain_options(), [](ByPort& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(host);
        const std::uint16_t port = co_await served_port(app, 3);
        std::map<unsigned, std::set<WorkerId>> served;
        for (int i = 0; i < 60; ++i) {
            Client client(app.context(), port);
            const std::string greeting = co_await client.read_line();
            served[client.local_port() % 10U].insert(who(greeting));
        }
        for (const auto& [digit, workers] : served) CHECK(workers.size() == 1);
    });
}

} // namespace
