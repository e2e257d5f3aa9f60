// SPDX-License-Identifier: MIT
// What workers have to answer, as their master sees it, also when they are stuck.
#include <cohort/master.hpp>

#include "support/cluster.hpp"
#include "support/http_client.hpp"
#include "support/process.hpp"

#include <cohort/http/serve.hpp>

#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include <unistd.h>

using namespace test;

namespace {

/// Answers "/" at once and what begins with /wait when the worker leaves; never comes back from /hang, and dies of
/// /crash.
template <class W>
Task<http::Response> answer_request(W& self, const http::Request& request) {
    const std::string path(request.path());
    const Note note{path};
    if (path != "/") co_await self.send(note);
    if (path == "/hang") co_await hang(self);
    if (path == "/crash") {
        co_await self.flush();
        ::kill(::getpid(), SIGKILL);
    }
    if (path.starts_with("/wait")) co_await self.until_stopping();
    co_return http::text("answered");
}

template <class W>
Task<> work(W& self) {
    auto listener = co_await self.listen("127.0.0.1:0");
    const Note note{"listening", listener.port()};
    co_await self.send(note);
    co_await http::serve(self, listener, answer_request<W>);
}

template <class A>
Task<std::uint16_t> start(A& app) {
    app.spawn(work<typename A::Worker>);
    const auto note = co_await mail(app);
    co_return static_cast<std::uint16_t>(note.message.number);
}

} // namespace

TEST_CASE("the master sees what is not answered, since when, and whose it is") {
    in_master<SharedApp>(plain_options(), [](SharedApp& app) -> Task<> {
        const std::uint16_t port = co_await start(app);
        HttpClient idle(port);
        CHECK(idle.get("/").body == "answered");
        CHECK(app.requests().empty());
        HttpClient first(port);
        first.send("GET", "/wait/1?token=secret");
        auto note = co_await mail(app);
        HttpClient second(port);
        second.send("POST", "/wait/2", "a body");
        note = co_await mail(app);
        const std::vector<RequestInfo> requests = app.requests();
        REQUIRE(requests.size() == 2);
        CHECK(requests[0].what == "GET /wait/1");
        CHECK(requests[1].what == "POST /wait/2");
        CHECK(requests[0].age >= requests[1].age);
        for (const RequestInfo& each : requests) {
            CHECK(each.worker == 1);
            CHECK(each.slot == 0);
            CHECK(each.age < limit);
            CHECK(each.client.starts_with("127.0.0.1:"));
        }
        CHECK(app.totals().requests - app.totals().answered == 2);
        const auto seen = app.stats().of_generation(app.generation());
        CHECK(seen.requests == 3);
        CHECK(seen.latency.count() == 1);
        CHECK(seen.responses[1] == 1);
        co_await app.stop();
        CHECK(first.answer().body == "answered");
        CHECK(app.requests().empty());
        CHECK(app.totals().latency.count() == 3);
        CHECK(app.stats().total().latency.count() == 3);
    });
}

TEST_CASE("the requests of a stopped worker are seen as those of any other") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const std::uint16_t port = co_await start(app);
        HttpClient client(port);
        client.send("GET", "/wait");
        const auto note = co_await mail(app);
        ::kill(app.workers().at(0).pid, SIGSTOP);
        const std::vector<RequestInfo> requests = app.requests();
        REQUIRE(requests.size() == 1);
        CHECK(requests[0].what == "GET /wait");
        app.kill_all();
        co_await app.until_finished();
    });
}

TEST_CASE("what a worker had to answer is said when it is found stuck, and when it has crashed") {
    struct Row {
        const char* path;
        const char* end;
    };
    for (const Row& row : {Row{"/hang", "stuck: "}, Row{"/crash", "killed by SIGKILL"}}) {
        CAPTURE(row.path);
        Helper master([&row] {
            ::dup2(STDOUT_FILENO, STDERR_FILENO);
            Options options = permanent_options();
            options.liveness = {.interval = 20ms, .slow_after = 100ms, .timeout = 200ms, .kill_after = 5s};
            in_master<App>(options, [&row](App& app) -> Task<> {
                const std::uint16_t port = co_await start(app);
                HttpClient client(port);
                client.send("GET", row.path);
                co_await end_of(app, 1);
            });
            return 0;
        });
        std::string said;
        while (const auto line = master.line()) said += *line + "\n";
        CHECK(said.find(row.end) != said.npos);
        const auto told = said.find("worker 1: not answered: GET " + std::string(row.path) + ", for ");
        REQUIRE(told != said.npos);
        const bool is_alive = std::string(row.path) == "/hang";
        CHECK((said.find(" ms, from 127.0.0.1:", told) != said.npos) == is_alive);
    }
}

TEST_CASE("a request of another protocol is seen with its own words") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const auto body = [](App::Worker& self) -> Task<> {
            const auto job = self.begin_request("job \x1b[31m7");
            const auto nameless = self.begin_request();
            co_await say(self, "begun");
            co_await self.until_stopping();
        };
        app.spawn(body);
        const auto note = co_await mail(app);
        const std::vector<RequestInfo> requests = app.requests();
        REQUIRE(requests.size() == 2);
        CHECK(requests[0].what == "job \\x1b[31m7");
        CHECK(requests[0].client.empty());
        CHECK(requests[1].what.empty());
    });
}
