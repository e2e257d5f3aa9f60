// SPDX-License-Identifier: MIT
// What a worker tells those who watch the cluster.
#include <cohort/monitoring.hpp>

#include "support/cluster.hpp"
#include "support/folder.hpp"
#include "support/http_client.hpp"

#include <cohort/http/serve.hpp>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

using namespace test;

namespace {

Task<http::Response> count(SharedApp::Worker& self, const http::Request&) {
    self.counter("test_hits_total").add(2);
    co_return http::status(404);
}

Task<http::Response> wait(SharedApp::Worker& self, const http::Request&) {
    const Note note{"waiting"};
    co_await self.send(note);
    co_await self.until_stopping();
    co_return http::text("waited");
}

Task<> work(SharedApp::Worker& self) {
    auto router = monitoring::endpoints<SharedApp::Worker>();
    router.get("/count", count).get("/wait", wait);
    auto listener = co_await self.listen("127.0.0.1:0");
    const Note note{"listening", listener.port()};
    co_await self.send(note);
    co_await http::serve(self, listener, router);
}

/// -100: it is not there.
int value_of(const std::string& text, const std::string& name) {
    const auto at = text.find("\n" + name + " ");
    return at == text.npos ? -100 : std::atoi(text.c_str() + at + name.size() + 2);
}

bool has(const std::string& text, const std::string& line) { return text.find("\n" + line + "\n") != text.npos; }

/// A worker counts an answer when it has sent it, so whoever has the answer may be there first.
Task<> until_answered(SharedApp& app, std::uint64_t count) {
    while (app.totals().answered < count) co_await pause(app.context(), 1ms);
}

/// Each with a sentence, as Prometheus' own tool wants it.
bool all_are_described(const std::string& metrics) {
    std::istringstream lines(metrics);
    std::string before;
    bool all = metrics.find("# TYPE ") != metrics.npos;
    for (std::string line; std::getline(lines, line); before = line) {
        if (!line.starts_with("# TYPE ")) continue;
        const std::string name = line.substr(7, line.find(' ', 7) - 7);
        all = all && before.starts_with("# HELP " + name + " ");
    }
    return all;
}

/// What that says, where it is installed.
bool is_accepted(const std::string& metrics) {
    const test::Folder folder;
    std::ofstream(folder / "metrics") << metrics;
    const std::string command = "command -v promtool >/dev/null || exit 0; promtool check metrics <";
    return std::system((command + (folder / "metrics")).c_str()) == 0;
}

} // namespace

TEST_CASE("liveness, readiness and metrics of a cluster, whichever worker is asked") {
    in_master<SharedApp>(permanent_options(), [](SharedApp& app) -> Task<> {
        app.counter("test_hits_total").add(10);
        app.counter("test_depth").add(3);
        for (int i = 0; i != 2; ++i) app.spawn(work);
        auto mail = co_await app.receive();
        const auto port = static_cast<std::uint16_t>(mail->message.number);
        mail = co_await app.receive();

        HttpClient client(port);
        CHECK(client.get("/livez").status == 200);
        CHECK(client.get("/readyz").body == "ready\n");
        CHECK(client.get("/count").status == 404);
        CHECK(client.ask("BREW", "/").status == 501);

        co_await until_answered(app, 3);

        HttpClient other(port);
        HttpReply reply = other.get("/metrics");
        CHECK(reply.field("content-type") == "text/plain; version=0.0.4; charset=utf-8");
        CHECK(has(reply.body, "# TYPE cohort_requests_total counter"));
        CHECK(has(reply.body, "cohort_workers 2"));
        CHECK(has(reply.body, "cohort_connections_open 2"));
        CHECK(has(reply.body, "cohort_requests_total 4"));
        CHECK(has(reply.body, "cohort_requests_in_progress 1"));
        CHECK(has(reply.body, "cohort_http_responses_total{class=\"2xx\"} 2"));
        CHECK(has(reply.body, "cohort_http_responses_total{class=\"4xx\"} 1"));
        CHECK(has(reply.body, "cohort_http_responses_total{class=\"5xx\"} 1"));
        CHECK(has(reply.body, "# TYPE cohort_request_duration_seconds histogram"));
        CHECK(has(reply.body, "cohort_request_duration_seconds_bucket{le=\"+Inf\"} 3"));
        CHECK(has(reply.body, "cohort_request_duration_seconds_count 3"));
        CHECK(has(reply.body, "cohort_worker_restarts_total 0"));
        CHECK(has(reply.body, "cohort_reloads_total{result=\"success\"} 0"));
        // The kernel chooses by the clients' ports, so both may be one worker's.
        CHECK(value_of(reply.body, "cohort_worker_connections_open{slot=\"0\"}") +
                  value_of(reply.body, "cohort_worker_connections_open{slot=\"1\"}") ==
              2);
        CHECK(all_are_described(reply.body));
        CHECK(is_accepted(reply.body));
        CHECK(has(reply.body, "# TYPE test_hits_total counter\ntest_hits_total 12"));
        CHECK(has(reply.body, "# TYPE test_depth gauge\ntest_depth 3"));
        CHECK(app.totals().requests == 4);

        co_await until_answered(app, 4);
        for (const auto& worker : app.workers()) ::kill(worker.pid, SIGKILL);
        for (int i = 0; i != 2; ++i) mail = co_await app.receive(); // their successors listen
        HttpClient later(port);
        reply = later.get("/metrics");
        CHECK(has(reply.body, "cohort_workers 2"));
        CHECK(has(reply.body, "cohort_connections_open 1"));
        CHECK(has(reply.body, "cohort_requests_total 5"));
        CHECK(has(reply.body, "cohort_requests_in_progress 1"));
        CHECK(has(reply.body, "test_hits_total 12"));
        CHECK(has(reply.body, "cohort_worker_restarts_total 2"));
        CHECK(has(reply.body, "cohort_request_duration_seconds_count 4")); // what killed workers had is not lost
        const ReloadReport report = co_await app.reload();
        CHECK(report);
        HttpClient last(port);
        reply = last.get("/metrics");
        CHECK(has(reply.body, "cohort_reloads_total{result=\"success\"} 1"));
        CHECK(has(reply.body, "cohort_generation 1"));
    });
}

TEST_CASE("a worker that is to leave is not ready") {
    in_master<SharedApp>(plain_options(), [](SharedApp& app) -> Task<> {
        app.spawn(work);
        auto mail = co_await app.receive();
        HttpClient client(static_cast<std::uint16_t>(mail->message.number));
        // At once: what the server has not read when it answers the first is not answered by a worker that leaves.
        client.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\nGET /readyz HTTP/1.1\r\nHost: test\r\n\r\n");
        mail = co_await app.receive();
        CHECK(mail->message.text == "waiting");
        co_await app.stop();
        CHECK(client.answer().body == "waited");
        const HttpReply reply = client.answer();
        CHECK(reply.status == 503);
        CHECK(reply.body == "leaving\n");
    });
}
