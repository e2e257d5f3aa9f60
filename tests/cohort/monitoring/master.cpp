// SPDX-License-Identifier: MIT
// A master that is asked, in a cluster whose workers speak no HTTP.
#include <cohort/monitoring/master.hpp>

#include "support/client.hpp"
#include "support/run_for.hpp"

#include <csignal>
#include <string>
#include <vector>

using namespace test;

namespace {

Task<std::string> get(MasterBase& app, std::uint16_t port, std::string path) {
    Client client(app.context(), port);
    client.write("GET " + path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    std::string answer = co_await client.read_all();
    co_return answer;
}

bool tells(const std::string& text, const std::string& line) { return text.find("\n" + line + "\n") != text.npos; }

Task<> serve_and_note(MasterBase& app, ServerSocket& socket, bool& ended) {
    co_await monitoring::serve(app, socket);
    ended = true;
}

Task<Note> give_back(const Note& note) { co_return note; }

/// Says something twice, and answers calls.
template <class W>
Task<> talk(W& self) {
    for (int i = 0; i != 2; ++i) co_await say(self, "hello");
    co_await self.serve(give_back);
}

} // namespace

TEST_CASE_TEMPLATE("the master tells what a worker would, and the messages and calls of each slot", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        ServerSocket socket(app.context().get_executor(), Endpoint::tcp("127.0.0.1", 0));
        const std::uint16_t port = socket.endpoint().port();
        bool ended = false;
        start(app.context(), serve_and_note(app, socket, ended));
        std::string answer = co_await get(app, port, "/livez");
        CHECK(answer.ends_with("\r\n\r\nalive\n"));
        answer = co_await get(app, port, "/readyz");
        CHECK(answer.starts_with("HTTP/1.1 503 "));
        CHECK(answer.ends_with("no worker is ready\n"));

        for (int i = 0; i != 2; ++i) app.spawn(talk<typename A::Worker>);
        for (int i = 0; i != 4; ++i) co_await mail(app);
        for (int i = 0; i != 3; ++i) {
            const Note question{"?"};
            co_await app.call(2, question);
        }
        answer = co_await get(app, port, "/readyz");
        CHECK(answer.ends_with("ready\n"));
        CHECK(app.ready_workers() == 2);
        answer = co_await get(app, port, "/metrics");
        CHECK(tells(answer, "cohort_workers 2"));
        CHECK(tells(answer, "# TYPE cohort_messages_received_total counter"));
        CHECK(tells(answer, "cohort_messages_received_total{slot=\"0\"} 2"));
        CHECK(tells(answer, "cohort_messages_received_total{slot=\"1\"} 2"));
        CHECK(tells(answer, "cohort_calls_made_total{slot=\"0\"} 0"));
        CHECK(tells(answer, "cohort_calls_made_total{slot=\"1\"} 3"));
        CHECK(tells(answer, "cohort_messages_sent_total{slot=\"0\"} 0"));
        answer = co_await get(app, port, "/other");
        CHECK(answer.starts_with("HTTP/1.1 404 "));

        app.kill(2, SIGKILL); // what it has counted stays
        co_await end_of(app, 2);
        const SlotStats sum = app.stats().total();
        CHECK(sum.messages.received == 4);
        CHECK(sum.messages.calls_made == 3);
        CHECK(sum.messages.sent == 0);
        CHECK(sum.messages.calls_received == 0);
        co_await app.stop();
        while (!ended) co_await pause(app.context(), 1ms);
        CHECK(socket.stopping());
    });
}

template <class W>
Task<> say_and_go(W& self) {
    for (int i = 0; i != 20; ++i) co_await say(self, "last words");
}

TEST_CASE("messages count when they are received, also of a worker that has gone") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        app.spawn(say_and_go<App::Worker>);
        co_await end_of(app, 1);
        CHECK(app.stats().total().messages.received == 0);
        for (int i = 0; i != 20; ++i) co_await mail(app);
        CHECK(app.stats().total().messages.received == 20);
        CHECK(app.stats().slots.at(0).messages.received == 20);
    });
}

/// Listens, and does not accept.
template <class W>
Task<> listen_only(W& self) {
    const auto listener = co_await self.listen("127.0.0.1:0");
    co_await say(self, "listening", listener.port());
    co_await self.until_stopping();
}

TEST_CASE("what waits at each endpoint is told by the master, and together by every worker") {
    in_master<SharedApp>(plain_options(), [](SharedApp& app) -> Task<> {
        ServerSocket socket(app.context().get_executor(), Endpoint::tcp("127.0.0.1", 0));
        bool ended = false;
        start(app.context(), serve_and_note(app, socket, ended));
        app.spawn(listen_only<SharedApp::Worker>);
        const auto listening = co_await mail(app);
        const auto port = static_cast<std::uint16_t>(listening.message.number);
        ::kill(app.workers().front().pid, SIGSTOP);
        std::vector<Client> clients;
        for (int i = 0; i != 3; ++i) clients.emplace_back(app.context(), port);
        while (app.stats().load() != 3) co_await pause(app.context(), 1ms);
        const std::string answer = co_await get(app, socket.endpoint().port(), "/metrics");
        const std::string queue =
            "cohort_queue_length{endpoint=\"127.0.0.1:" + std::to_string(port) + "\",slot=\"0\"} 3";
        CHECK(tells(answer, queue));
        while (app.totals().queued != 3) co_await pause(app.context(), 10ms);
        app.kill_all();
        co_await app.until_finished();
        while (!ended) co_await pause(app.context(), 1ms);
    });
}

TEST_CASE("a master that is destroyed is asked nothing more") {
    asio::io_context io(1);
    ServerSocket socket(io.get_executor(), Endpoint::tcp("127.0.0.1", 0));
    bool ended = false;
    {
        App app(io, plain_options());
        start(io, serve_and_note(app, socket, ended));
        settle(io);
        CHECK_FALSE(ended);
    }
    run_until(io, [&ended] { return ended; });
    CHECK(socket.stopping());
}
