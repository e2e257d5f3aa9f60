// SPDX-License-Identifier: MIT
// How many connections a worker has, in both modes.
#include <cohort/mode.hpp>

#include "support/client.hpp"

using namespace test;

namespace {

Options quick_options() {
    Options options = plain_options();
    options.stuck_after = 100ms;
    return options;
}

/// As many connections as its slot says.
template <class W>
Task<> limited_host(W& self) {
    constexpr std::uint32_t limits[] = {0, 1, 9};
    self.limit_connections(limits[self.slot()]);
    co_await host(self);
}

TEST_CASE_TEMPLATE("each worker has exactly as many connections as it allows", A, App, SharedApp) {
    in_master<A>(quick_options(), [](A& app) -> Task<> {
        for (int i = 0; i < 3; ++i) app.spawn(limited_host<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app, 3);
        std::map<WorkerId, std::vector<Client>> of;
        for (int i = 0; i < 10; ++i) {
            Client client(app.context(), port);
            const std::string greeting = co_await client.read_line();
            of[who(greeting)].push_back(std::move(client));
        }
        CHECK(of[1].empty());
        CHECK(of[2].size() == 1);
        CHECK(of[3].size() == 9);

        // One more waits for the first that leaves.
        Client late(app.context(), port);
        co_await pause(app.context(), 300ms);
        CHECK(late.is_silent());
        of[3].pop_back();
        const std::string greeting = co_await late.read_line();
        CHECK(who(greeting) == 3);
    });
}

TEST_CASE_TEMPLATE("the cluster's limit holds for every worker, and what is too much waits", A, App, SharedApp) {
    Options options = quick_options();
    options.connections_per_worker = 2;
    in_master<A>(options, [](A& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(host);
        const std::uint16_t port = co_await served_port(app, 2);
        std::vector<Client> clients;
        for (int i = 0; i < 12; ++i) clients.emplace_back(app.context(), port);
        std::map<WorkerId, int> count;
        std::size_t served = 0;
        while (served < 12) {
            for (const auto& slot : app.stats().slots) CHECK(slot.open <= 2);
            // Whoever was greeted leaves.
            const auto found = std::ranges::find_if(clients, [](Client& client) { return !client.is_silent(); });
            if (found == clients.end()) {
                co_await pause(app.context(), 1ms);
                continue;
            }
            const std::string greeting = co_await found->read_line();
            ++count[who(greeting)];
            clients.erase(found);
            ++served;
        }
        CHECK(count[1] + count[2] == 12);
    });
}

/// Has connections in its queue when it decides to have none.
template <class W>
Task<> change_of_mind(W& self) {
    auto listener = co_await self.listen(any_port());
    const auto note = co_await self.receive();
    self.limit_connections(0);
    co_await keep_all(self, listener);
}

TEST_CASE("a worker at its limit gives back what it had been sent") {
    in_master<App>(quick_options(), [](App& app) -> Task<> {
        app.spawn(change_of_mind<App::Worker>);
        const std::uint16_t port = co_await served_port(app);
        std::vector<Client> clients;
        for (int i = 0; i < 10; ++i) clients.emplace_back(app.context(), port);
        while (app.stats().total().delivered < 10) co_await pause(app.context(), 1ms);
        app.spawn(host);
        co_await served_port(app);
        co_await tell(app, 1, "enough");
        for (auto& client : clients) {
            const std::string greeting = co_await client.read_line();
            CHECK(who(greeting) == 2);
        }
        const auto stats = app.stats();
        CHECK(stats.slots[0].refused + stats.slots[0].redelivered == 10);
        CHECK(app.totals().refused == stats.slots[0].refused);
        CHECK(stats.slots[1].accepted == 10);
    });
}

/// Sets the limit that each note has.
template <class W>
Task<> adjust(W& self) {
    while (const auto note = co_await self.receive()) {
        self.limit_connections(static_cast<std::uint32_t>(note->number));
        co_await say(self, "open", self.open_connections());
    }
}
template <class W>
Task<> adjustable_host(W& self) {
    spawn(self.context(), adjust(self));
    co_await host(self);
}

TEST_CASE_TEMPLATE("a limit that is raised lets in who waits", A, App, SharedApp) {
    Options options = quick_options();
    options.connections_per_worker = 0;
    in_master<A>(options, [](A& app) -> Task<> {
        app.spawn(adjustable_host<typename A::Worker>);
        const std::uint16_t port = co_await served_port(app);
        std::vector<Client> clients;
        for (int i = 0; i < 3; ++i) clients.emplace_back(app.context(), port);
        co_await tell(app, 1, "limit", 2);
        for (int i = 0; i < 2; ++i) co_await clients[static_cast<std::size_t>(i)].read_line();
        CHECK(clients[2].is_silent());
        const auto before = co_await mail(app);
        CHECK(before.message.number == 0);
        co_await tell(app, 1, "limit", 3);
        co_await clients[2].read_line();
        const auto after = co_await mail(app);
        CHECK(after.message.number == 2);
        // Lowered, it takes nobody's connection away.
        co_await tell(app, 1, "limit", 0);
        const auto last = co_await mail(app);
        CHECK(last.message.number == 3);
        for (auto& client : clients) CHECK(client.is_silent());
    });
}

} // namespace
