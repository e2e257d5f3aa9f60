// SPDX-License-Identifier: MIT
// Connections that are open when their worker is replaced: nobody at their other end can tell.
#include <cohort/http/serve.hpp>

#include "support/line_counter.hpp"

using namespace test;

namespace {

TEST_CASE_TEMPLATE("a protocol's connection goes to the next worker with what was said of it", A, App, SharedApp) {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<A>(options, [](A& app) -> Task<> {
        app.spawn(line_counter);
        const std::uint16_t port = co_await served_port(app);
        std::optional<Client> client(std::in_place, app.context(), port);
        for (int i = 1; i <= 5; ++i) {
            const std::string reply = co_await say_and_hear(*client);
            CHECK(reply == std::to_string(i) + " " + std::to_string(i));
            const auto report = co_await app.reload();
            CHECK(report);
            while (app.workers().size() > 1) co_await pause(app.context(), 1ms);
        }
        const std::string reply = co_await say_and_hear(*client);
        CHECK(reply == "6 6");
        CHECK(app.stats().total().handed_over == 5);
        client.reset();
        co_await app.stop();
    });
}

// HTTP

Task<http::Response> name_worker(SharedApp::Worker& self, const http::Request&) {
    co_return http::text(std::to_string(self.id()));
}
Task<http::Response> name_worker_rr(App::Worker& self, const http::Request&) {
    co_return http::text(std::to_string(self.id()));
}
Task<> web(SharedApp::Worker& self) {
    auto listener = co_await self.listen(any_port());
    co_await http::serve(self, listener, name_worker);
}
Task<> web(App::Worker& self) {
    auto listener = co_await self.listen(any_port());
    co_await http::serve(self, listener, name_worker_rr);
}
template <class A>
Task<> (*web_of())(typename A::Worker&) {
    return web;
}

/// Who answers a request on this connection; "closed" when that was the last.
Task<std::string> get(Client& client) {
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    std::string length;
    for (;;) {
        const std::string line = co_await client.read_line();
        if (line == "\r") break;
        if (line.starts_with("Content-Length: ")) length = line.substr(16);
        if (line.starts_with("Connection: close")) co_return "closed";
    }
    std::string body;
    co_await client.read_exactly(body, std::stoul(length));
    co_return body;
}

TEST_CASE_TEMPLATE("a reload does not end a keep-alive connection", A, App, SharedApp) {
    Options options = plain_options();
    options.restart = Restart::permanent;
    in_master<A>(options, [](A& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(web_of<A>());
        const std::uint16_t port = co_await served_port(app, 2);
        std::vector<Client> clients;
        for (int i = 0; i < 8; ++i) clients.emplace_back(app.context(), port);
        for (int round = 0; round < 4; ++round) {
            for (std::size_t i = 0; i < clients.size(); ++i) {
                if (i == 0) continue; // one has sent nothing yet, and is still served in the end
                const std::string worker = co_await get(clients[i]);
                CHECK(std::stoi(worker) > 2 * round);
            }
            const auto report = co_await app.reload();
            CHECK(report.replaced == 2);
            while (app.workers().size() > 2) co_await pause(app.context(), 1ms); // the old ones serve to their end
        }
        const std::string late = co_await get(clients[0]);
        CHECK(std::stoi(late) > 0);
        co_await app.stop();
        for (auto& client : clients) {
            const std::string rest = co_await client.read_all();
            CHECK(rest.empty());
        }
    });
}

} // namespace
