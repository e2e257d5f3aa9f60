// SPDX-License-Identifier: MIT
// A worker that does not accept, in both modes: its connections are served by others, each once.
#include <cohort/mode.hpp>

#include "support/client.hpp"

using namespace test;

namespace {

constexpr int crowd_size = 40;

Options quick_options() {
    Options options = plain_options();
    options.stuck_after = 200ms;
    return options;
}

/// Whom each client was greeted by.
Task<std::map<WorkerId, int>> greetings(std::vector<Client>& clients) {
    std::map<WorkerId, int> count;
    for (auto& client : clients) {
        const std::string greeting = co_await client.read_line();
        ++count[who(greeting)];
    }
    co_return count;
}

template <class A>
std::vector<Client> silent_crowd(A& app, std::uint16_t port, int count) {
    std::vector<Client> clients;
    for (int i = 0; i < count; ++i) clients.emplace_back(app.context(), port);
    return clients;
}

/// Listens, and accepts nothing until it is told to.
template <class W>
Task<> host_when_told(W& self) {
    auto listener = co_await self.listen(any_port());
    const auto note = co_await self.receive();
    co_await keep_all(self, listener);
}

TEST_CASE_TEMPLATE("connections of a stopped worker are served by the others, and it takes part again later", A, App,
                   SharedApp) {
    in_master<A>(quick_options(), [](A& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(host);
        const std::uint16_t port = co_await served_port(app, 2);
        const pid_t first = app.workers().at(0).pid;
        ::kill(first, SIGSTOP);
        auto clients = silent_crowd(app, port, crowd_size);
        const auto served = co_await greetings(clients);
        CHECK(served == std::map<WorkerId, int>{{2, crowd_size}});

        ::kill(first, SIGCONT);
        std::map<WorkerId, int> later;
        for (int i = 0; later[1] == 0; ++i) {
            REQUIRE(i < 5'000);
            Client client(app.context(), port);
            const std::string greeting = co_await client.read_line();
            ++later[who(greeting)];
        }
        // Whatever it was sent before it stopped is not its own any more: everybody was greeted once.
        for (auto& client : clients) CHECK(client.is_silent());
        CHECK(app.stats().total().accepted == static_cast<std::uint64_t>(crowd_size + later[1] + later[2]));
    });
}

TEST_CASE_TEMPLATE("nobody waits for a worker that lives but does not accept", A, App, SharedApp) {
    in_master<A>(quick_options(), [](A& app) -> Task<> {
        app.spawn(host_when_told<typename A::Worker>);
        app.spawn(host);
        const std::uint16_t port = co_await served_port(app, 2);
        for (int round = 0; round < 3; ++round) {
            auto clients = silent_crowd(app, port, crowd_size);
            const auto served = co_await greetings(clients);
            CHECK(served == std::map<WorkerId, int>{{2, crowd_size}});
        }
        CHECK(app.stats().total().redelivered <= app.options().credit); // it gets none until it has shown life
        co_await tell(app, 1, "host");
        for (int i = 0;; ++i) {
            REQUIRE(i < 5'000);
            Client client(app.context(), port);
            const std::string greeting = co_await client.read_line();
            if (who(greeting) == 1) break;
        }
    });
}

TEST_CASE_TEMPLATE("a stuck worker keeps its connections when there is nobody else", A, App, SharedApp) {
    in_master<A>(quick_options(), [](A& app) -> Task<> {
        app.spawn(host_when_told<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        auto clients = silent_crowd(app, port, crowd_size);
        co_await pause(app.context(), 500ms); // more than it takes to be stuck
        co_await tell(app, 1, "host");
        const auto served = co_await greetings(clients);
        CHECK(served == std::map<WorkerId, int>{{1, crowd_size}});
    });
}

TEST_CASE_TEMPLATE("a worker that is busy for a while loses none and serves none twice", A, App, SharedApp) {
    Options options = quick_options();
    options.stuck_after = 20ms;
    in_master<A>(options, [](A& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(host);
        const std::uint16_t port = co_await served_port(app, 3);
        std::uint64_t total = 0;
        for (int round = 0; round < 20; ++round) {
            const pid_t busy = app.workers().at(static_cast<std::size_t>(round % 3)).pid;
            ::kill(busy, SIGSTOP);
            auto clients = silent_crowd(app, port, 12);
            co_await pause(app.context(), std::chrono::milliseconds(round * 3)); // before, at, and after the limit
            ::kill(busy, SIGCONT);
            const auto served = co_await greetings(clients);
            CHECK(served.count(0) == 0);
            total += 12;
            CHECK(app.stats().total().accepted == total);
            for (auto& client : clients) CHECK(client.is_silent());
        }
    });
}

} // namespace
