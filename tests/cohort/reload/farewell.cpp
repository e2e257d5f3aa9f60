// SPDX-License-Identifier: MIT
// Connections that no other worker can take over, as over TLS: their clients are told with one more answer to come
// back.
#include <cohort/http/options.hpp>

#include <cohort/http/serve.hpp>

#include "support/client.hpp"

#include <string>
#include <vector>

using namespace test;

namespace {

using enum WorkerState;

/// A listener whose connections stay where they are.
class Kept {
public:
    explicit Kept(Listener& listener) : listener_(&listener) {}
    Task<std::optional<Socket>> accept() { return listener_->accept(); }
    bool stopping() const { return listener_->stopping(); }
    std::chrono::milliseconds patience() const { return listener_->patience(); }

private:
    Listener* listener_;
};

Task<http::Response> name_leaving(WorkerBase& self, const http::Request&) {
    co_return http::text(std::to_string(self.id()));
}

/// Its argument is the farewell_timeout.
Task<> leaving_web(WorkerBase& self) {
    http::ServerOptions options;
    options.farewell_timeout = std::chrono::milliseconds(std::stol(self.args().at(0)));
    options.park_after = 20ms;
    auto listener = co_await self.listen(any_port());
    Kept kept(listener);
    co_await http::serve(self, kept, name_leaving, std::move(options));
}

Options options_for(std::chrono::milliseconds farewell, std::chrono::milliseconds grace) {
    Options options = permanent_options(grace);
    options.worker.args = {std::to_string(farewell.count())};
    return options;
}

struct Reply {
    std::string worker{};
    bool told = false;
};

Task<> get_reply(Client& client, Reply& reply) {
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    reply = {};
    std::string length;
    for (std::string line; line != "\r";) {
        line = co_await client.read_line();
        if (line.starts_with("Content-Length: ")) length = line.substr(16);
        if (line.starts_with("Connection: close")) reply.told = true;
    }
    co_await client.read_exactly(reply.worker, std::stoul(length));
}

/// Clients that have had an answer of worker 1.
template <class A>
Task<std::vector<Client>> served_clients(A& app, std::uint16_t port, int count) {
    std::vector<Client> clients;
    Reply reply;
    for (int i = 0; i != count; ++i) {
        clients.emplace_back(app.context(), port);
        co_await get_reply(clients.back(), reply);
        CHECK(reply.worker == "1");
        CHECK_FALSE(reply.told);
    }
    co_return clients;
}

template <class A>
Task<> until_there_are(A& app, std::size_t workers) {
    while (app.workers().size() != workers) co_await pause(app.context(), 1ms);
}

} // namespace

TEST_CASE_TEMPLATE("who cannot be handed over is told with one more answer to come back", A, App, SharedApp) {
    in_master<A>(options_for(200s, 600s), [](A& app) -> Task<> {
        app.spawn(leaving_web);
        const std::uint16_t port = co_await served_port(app);
        Client fresh(app.context(), port); // has asked for nothing yet
        std::vector<Client> clients = co_await served_clients(app, port, 3);
        co_await pause(app.context(),
                       80ms); // longer than park_after, but it has to hold for those that are not parked too
        const auto report = co_await app.reload();
        REQUIRE(report);
        clients.push_back(std::move(fresh));
        Reply reply;
        for (Client& client : clients) {
            co_await get_reply(client, reply);
            CHECK(reply.worker == "1");
            CHECK(reply.told);
            const std::string rest = co_await client.read_all();
            CHECK(rest == "");
            client.close();
        }
        co_await until_there_are(app, 1); // nobody else is waited for
        Client again(app.context(), port);
        co_await get_reply(again, reply);
        CHECK(reply.worker == "2");
        CHECK_FALSE(reply.told);
        co_await app.stop();
    });
}

namespace {

struct SilentCase {
    const char* what;
    std::chrono::milliseconds farewell, grace;
};

constexpr SilentCase silent_cases[] = {
    {"the farewell ends the wait", 200ms, 600s},
    {"half of the grace ends the wait", 600s, 4s},
    {"no wait is wanted", 0ms, 600s},
};

} // namespace

TEST_CASE("who says nothing more is waited for a while, and then let go without a reset") {
    for (const SilentCase& silent : silent_cases) {
        CAPTURE(silent.what);
        in_master<App>(options_for(silent.farewell, silent.grace), [](App& app) -> Task<> {
            app.spawn(leaving_web);
            const std::uint16_t port = co_await served_port(app);
            std::vector<Client> clients = co_await served_clients(app, port, 3);
            const auto report = co_await app.reload();
            REQUIRE(report);
            for (Client& client : clients) {
                const std::string rest = co_await client.read_all();
                CHECK(rest == "");
            }
            const Event end = co_await end_of(app, 1);
            CHECK(end.status->success());
            co_await app.stop();
        });
    }
}

namespace {

template <class A>
Task<> stops_without_waiting(A& app, bool during_reload) {
    app.spawn(leaving_web);
    const std::uint16_t port = co_await served_port(app);
    std::vector<Client> clients = co_await served_clients(app, port, 3);
    if (during_reload) {
        const auto report = co_await app.reload();
        REQUIRE(report);
        CHECK(app.workers().size() == 2);
        CHECK(clients[0].is_silent());
    }
    co_await app.stop();
    const auto events = co_await all_events(app);
    for (const Event& event : events)
        if (event.kind == exited) CHECK(event.status->success());
    for (Client& client : clients) {
        const std::string rest = co_await client.read_all();
        CHECK(rest == "");
    }
}

} // namespace

TEST_CASE_TEMPLATE("when everything stops, nobody is waited for", A, App, SharedApp) {
    bool during_reload = false;
    SUBCASE("at once") {}
    SUBCASE("while an old worker waits") { during_reload = true; }
    in_master<A>(options_for(600s, 1200s), [=](A& app) { return stops_without_waiting(app, during_reload); });
}
