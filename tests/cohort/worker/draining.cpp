// SPDX-License-Identifier: MIT
// Whatever waits in a worker hears of its leaving at once: nothing that is idle costs the grace period.
#include <cohort/worker.hpp>

#include <cohort/http/event_stream.hpp>
#include <cohort/http/serve.hpp>

#include "support/client.hpp"
#include "support/handling.hpp"
#include "support/run_for.hpp"

#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace test;

namespace {

// Events

Task<> wait_silently(http::EventStream& stream) {
    co_await stream.send({.data = "here"});
    co_await never();
}
Task<> wait_for_either(http::EventStream& stream) {
    co_await stream.send({.data = "here"});
    co_await either(never(), never());
}
Task<> send_often(http::EventStream& stream) {
    while (true) {
        co_await stream.send({.data = "here"});
        co_await sleep_for(1ms);
    }
}
Task<> say_goodbye(http::EventStream& stream) {
    stream.end_at_drain(false);
    co_await stream.send({.data = "here"});
    co_await either(never(), stream.until_draining());
    co_await stream.send({.data = "bye"});
}

Task<> forward(App::Worker& self, http::EventStream& stream) {
    auto prices = co_await self.subscribe<std::string>("prices");
    co_await stream.send({.data = "here"});
    while (const auto price = co_await prices.receive()) co_await stream.send({.data = *price});
}

// Other bodies and protocols

Task<> write_and_wait(http::BodyWriter& out) {
    co_await out.write("here");
    co_await either(never(), out.until_draining());
}

Task<> read_only(http::Upgraded& connection) {
    co_await connection.write("here");
    while (true) {
        const auto bytes = co_await connection.read();
        if (!bytes) co_return;
    }
}

Task<> read_all(http::Upgraded& connection) {
    while (!connection.draining()) {
        const auto bytes = co_await connection.read();
        if (!bytes) co_return;
    }
}
Task<> write_at_the_end(http::Upgraded& connection) {
    co_await connection.until_draining();
    co_await connection.write("bye");
}
Task<> read_and_write(http::Upgraded& connection) {
    co_await connection.write("here");
    co_await both(read_all(connection), write_at_the_end(connection));
}

Task<http::Response> long_poll(App::Worker&, const http::Request& request) {
    const std::size_t first = co_await either(never(), request.until_draining());
    co_return http::text(first == 1 && request.draining() ? "come back" : "never");
}

Task<http::Response> route(App::Worker& self, const http::Request& request) {
    const std::string_view path = request.path();
    if (path == "/poll") return long_poll(self, request);
    http::Response response(404);
    if (path == "/silent") response = http::events(wait_silently);
    if (path == "/either") response = http::events(wait_for_either);
    if (path == "/sending") response = http::events(send_often);
    if (path == "/goodbye") response = http::events(say_goodbye);
    if (path == "/topic") response = http::events([&self](http::EventStream& out) { return forward(self, out); });
    if (path == "/body") response = http::stream(write_and_wait);
    if (path == "/read") response = http::upgrade("x", read_only);
    if (path == "/both") response = http::upgrade("x", read_and_write);
    return respond(std::move(response));
}

Task<> web(App::Worker& self) {
    auto listener = co_await self.listen(any_port());
    co_await http::serve(self, listener, route);
}

// Workers without HTTP

Task<> tick(asio::steady_timer& timer) {
    timer.expires_after(1h);
    co_await timer.async_wait(asio::use_awaitable);
}
Task<> loop(App::Worker& self) {
    auto listener = co_await self.listen(any_port()); // the test waits for that
    asio::steady_timer timer(self.get_executor());
    while (!self.stopping()) co_await either(tick(timer), self.until_stopping());
}
Task<> accept_all(App::Worker& self) {
    auto listener = co_await self.listen(any_port());
    while (const auto socket = co_await listener.accept()) {
    }
}
Task<> receive_all(App::Worker& self) {
    auto listener = co_await self.listen(any_port());
    while (const auto note = co_await self.receive()) {
    }
}

struct Case {
    const char* what;
    Task<> (*body)(App::Worker&);
    const char* path;      ///< what two clients have asked for
    const char* begins;    ///< what they hear before
    const char* ends_with; ///< and at the end
};

constexpr Case cases[] = {
    {"events, idle", web, "/silent", "data: here", "\r\n0\r\n\r\n"},
    {"events, two waits", web, "/either", "data: here", "\r\n0\r\n\r\n"},
    {"events, sending", web, "/sending", "data: here", "\r\n0\r\n\r\n"},
    {"events, of a topic", web, "/topic", "data: here", "\r\n0\r\n\r\n"},
    {"events, with a goodbye", web, "/goodbye", "data: here", "data: bye\n\n\r\n0\r\n\r\n"},
    {"a streamed body", web, "/body", "here", "\r\n0\r\n\r\n"},
    {"a long poll", web, "/poll", "", "come back"},
    {"upgraded, reading", web, "/read", "here", ""},
    {"upgraded, reading and writing", web, "/both", "here", "bye"},
    {"a loop with a timer", loop, "", "", ""},
    {"a loop that accepts", accept_all, "", "", ""},
    {"a loop that receives", receive_all, "", "", ""},
};

Task<> until_heard(Client& client, const std::string& text) {
    std::string heard;
    while (heard.find(text) == heard.npos) {
        std::string next;
        co_await client.read_exactly(next, 1);
        heard += next;
    }
}

Task<std::vector<Client>> clients_of(App& app, const Case& given, std::uint16_t port) {
    std::vector<Client> clients;
    for (int i = 0; *given.path != '\0' && i != 2; ++i) {
        clients.emplace_back(app.context(), port);
        clients.back().write("GET " + std::string(given.path) +
                             " HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        if (*given.begins != '\0') co_await until_heard(clients.back(), given.begins);
    }
    while (app.totals().requests != clients.size()) co_await pause(app.context(), 1ms);
    co_return clients;
}

/// What is left of each; a connection that goes on with another worker is ended from here.
Task<> end_clients(std::vector<Client>& clients, Case given, bool goes_on) {
    const std::string end = given.ends_with;
    for (Client& client : clients) {
        if (goes_on && !std::string_view(given.what).starts_with("upgraded")) {
            co_await until_heard(client, end);
            continue;
        }
        const std::string rest = co_await client.read_all();
        CHECK(rest.ends_with(end));
    }
}

Task<> replace_all(App& app) {
    const auto report = co_await app.reload();
    CHECK(report);
}

Task<> leaves_within_moments(App& app, Case given, bool at_reload) {
    app.spawn(given.body);
    const std::uint16_t port = co_await served_port(app);
    auto clients = co_await clients_of(app, given, port);
    const auto begun = std::chrono::steady_clock::now();
    // The clients read meanwhile: one that does not take what was sent may cost its worker time.
    Task<> leaving = at_reload ? replace_all(app) : app.stop();
    co_await both(std::move(leaving), end_clients(clients, given, at_reload));
    const Event end = co_await end_of(app, 1);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    CHECK(end.status->success());
    CHECK(took.count() < 3); // of 20 s of grace, on a busy machine
    if (at_reload) co_await app.stop();
}

} // namespace

TEST_CASE("what is idle in a worker ends within moments when it leaves") {
    bool at_reload = false;
    SUBCASE("with all the others") {}
    SUBCASE("at a reload") { at_reload = true; }
    for (const Case& given : cases) {
        const std::string what = given.what;
        CAPTURE(what);
        Options options = permanent_options();
        in_master<App>(options, [given, at_reload](App& app) { return leaves_within_moments(app, given, at_reload); });
    }
}
