// SPDX-License-Identifier: MIT
// RoundRobin alone: even shares, credit, and a master that does not hold what nobody can take.
#include <cohort/mode/round_robin.hpp>

#include "support/client.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <filesystem>

using namespace test;

namespace {

Endpoint on_this_host(std::uint16_t port) { return Endpoint::tcp("127.0.0.1", port); }

/// Listens, and takes nothing until it is told to.
Task<> hesitate(App::Worker& self) {
    auto listener = co_await self.listen(any_port());
    co_await self.receive();
    co_await serve(self, listener);
}

/// Connections that a worker process holds, seen from outside: its sockets but for its two links.
int held_by(pid_t pid) {
    int sockets = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
        std::error_code error;
        const std::string target = std::filesystem::read_symlink(entry.path(), error);
        sockets += target.starts_with("socket:");
    }
    return sockets;
}

TEST_CASE("connections are spread evenly, one after the other") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        for (int i = 0; i < 4; ++i) app.spawn(server);
        const std::uint16_t port = co_await served_port(app, 4);
        std::vector<WorkerId> order;
        for (int i = 0; i < 40; ++i) {
            const std::string reply = co_await ask(app, port);
            order.push_back(who(reply));
        }
        for (std::size_t i = 4; i < order.size(); ++i) CHECK(order[i] == order[i - 4]);
        std::ranges::sort(order.begin(), order.begin() + 4);
        CHECK(std::vector(order.begin(), order.begin() + 4) == std::vector<WorkerId>{1, 2, 3, 4});
    });
}

TEST_CASE("a worker that takes nothing is given no more than its credit, the others serve") {
    Options options = plain_options();
    options.credit = 2;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(hesitate);
        const WorkerId serving = app.spawn(server);
        const std::uint16_t port = co_await served_port(app, 2);
        const int before = held_by(app.workers().at(0).pid);
        auto clients = crowd(app, on_this_host(port), 30);
        while (held_by(app.workers().at(0).pid) != before + 2) co_await pause(app.context(), 1ms);
        for (int i = 0; i < 30; ++i) {
            const std::string reply = co_await ask(app, port);
            CHECK(who(reply) == serving);
        }
        CHECK(held_by(app.workers().at(0).pid) == before + 2);
        co_await tell(app, 1, "go on");
        const auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{1, 2}, {serving, 28}});
    });
}

TEST_CASE("what was taken makes room for more: a slow worker gets all, a credit at a time") {
    Options options = plain_options();
    options.credit = 1;
    in_master<App>(options, [](App& app) -> Task<> {
        app.spawn(hesitate);
        const std::uint16_t port = co_await served_port(app);
        auto clients = crowd(app, on_this_host(port), 60);
        co_await tell(app, 1, "go on");
        const auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{1, 60}});
    });
}

TEST_CASE("a master whose workers are all busy leaves connections in the kernel's queue") {
    Options options = plain_options();
    options.credit = 3;
    in_master<App>(options, [](App& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(hesitate);
        const std::uint16_t port = co_await served_port(app, 2);
        auto clients = crowd(app, on_this_host(port), 40);
        const std::size_t before = open_descriptors().size();
        while (open_descriptors().size() < before + 6) co_await pause(app.context(), 1ms);
        co_await pause(app.context(), 30ms); // in which it could accept more
        CHECK(open_descriptors().size() == before + 6);
        for (const WorkerId id : {1U, 2U}) co_await tell(app, id, "go on");
        const auto served = co_await answers(clients);
        CHECK(served.size() == 2);
        CHECK_FALSE(served.contains(0));
        while (open_descriptors().size() > before) co_await pause(app.context(), 1ms); // its copies go
        clients.clear();
    });
}

Task<> count_closed(App::Worker& self) {
    auto listener = co_await self.listen(any_port());
    while (auto socket = co_await listener.accept()) {
        std::error_code error;
        socket->close(error); // no shutdown: the client sees the end when the master lets go of its copy
    }
}

TEST_CASE("a client sees the end of a connection that its worker only closed") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(count_closed);
        const std::uint16_t port = co_await served_port(app);
        for (int i = 0; i < 5; ++i) {
            Client client(app.context(), port);
            const std::string nothing = co_await client.read_all();
            CHECK(nothing == "");
        }
    });
}

TEST_CASE("killing two of three workers with full hands loses nothing") {
    Options options = plain_options();
    options.credit = 4;
    in_master<App>(options, [](App& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(hesitate);
        const std::uint16_t port = co_await served_port(app, 3);
        std::vector<int> before;
        for (const auto& worker : app.workers()) before.push_back(held_by(worker.pid));
        auto clients = crowd(app, on_this_host(port), 30);
        for (std::size_t i = 0; i < 3; ++i)
            while (held_by(app.workers().at(i).pid) != before[i] + 4) co_await pause(app.context(), 1ms);
        app.kill(1, SIGKILL);
        app.kill(3, SIGKILL);
        co_await end_of(app, 3);
        co_await tell(app, 2, "go on");
        const auto served = co_await answers(clients);
        CHECK(served == std::map<WorkerId, int>{{2, 30}});
    });
}

} // namespace
