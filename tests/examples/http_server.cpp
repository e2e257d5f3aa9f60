// SPDX-License-Identifier: MIT
// The demo server in its modes, run as a user would: every route, the command line, workers that die, the end.
#include "support/example.hpp"
#include "support/http_client.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using test::Example;
using test::HttpClient;
using test::Output;
using test::run_shell;

namespace {

/// The test runs once for each mode.
std::string each_mode() {
    std::string mode;
    SUBCASE("round-robin") { mode = "round-robin"; }
    SUBCASE("least-connections") { mode = "least-connections"; }
    SUBCASE("shared-socket") { mode = "shared-socket"; }
    return mode;
}

class Server : public Example {
public:
    Server(std::string mode, unsigned workers)
        : Example("http_server", {"--port", "0", "--workers", std::to_string(workers), "--mode", mode}),
          first_line_(line().value_or("")),
          port_(port_in(first_line_)) {}

    const std::string& first_line() const noexcept { return first_line_; }
    std::uint16_t port() const noexcept { return port_; }
    HttpClient client() const { return HttpClient(port_); }
    test::HttpReply get(const std::string& target) const { return client().get(target); }

    /// Asked to end, it does so with code 0, says nothing more, and leaves no process that could.
    void end() {
        signal(SIGTERM);
        CHECK(rest() == "");
        CHECK(wait() == cohort::ExitStatus::exited(0));
        CHECK(HttpClient::is_released(port_));
    }

private:
    std::string first_line_;
    std::uint16_t port_;
};

/// The number after `"name":` in a JSON text.
int number(const std::string& json, const std::string& name) {
    const std::size_t found = json.find('"' + name + "\":");
    return found == std::string::npos ? -1 : std::atoi(json.c_str() + found + name.size() + 3);
}

/// Asks on new connections until so many workers have answered; gives what each said.
std::set<std::string> all_workers(const Server& server, unsigned workers) {
    std::set<std::string> answers;
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (answers.size() < workers && std::chrono::steady_clock::now() < deadline)
        answers.insert(server.get("/worker").body);
    return answers;
}

/// The client sees its connection end instead of an answer.
bool ends_connection(const Server& server, const std::string& target) {
    HttpClient client = server.client();
    client.send("GET", target);
    return client.ends();
}

/// Ends on its own with this code, and says no more than one thing.
void refuses(std::vector<std::string> args, int code, const std::string& message) {
    Example example("http_server", args, Output::error);
    const std::string said = example.rest();
    CHECK_MESSAGE(said.find(message) != std::string::npos, said);
    CHECK(example.wait() == cohort::ExitStatus::exited(code));
    Example again("http_server", std::move(args), Output::out);
    CHECK(again.rest().empty());
    CHECK(again.wait() == cohort::ExitStatus::exited(code));
}

std::string count_field(const test::HttpReply& reply) { return reply.field("content-length"); }

TEST_CASE("http_server: SIGHUP replaces the workers, and every request is answered meanwhile") {
    Server server(each_mode(), 2);
    std::set<int> ids;
    server.signal(SIGHUP);
    for (int requests = 0; !(ids.contains(3) && ids.contains(4)); ++requests) {
        REQUIRE(requests < 20'000);
        const auto reply = server.get("/worker");
        REQUIRE(reply.status == 200);
        ids.insert(number(reply.body, "id"));
    }
    CHECK(ids.size() <= 4);
    CHECK(server.after("cohort: reload: ").starts_with("2 workers were replaced in "));
    server.end();
}

} // namespace

TEST_CASE("http_server: its one line names the port it got, and SIGTERM ends it with code 0") {
    const std::string mode = each_mode();
    Server server(mode, 2);
    CHECK(server.port() != 0);
    CHECK(server.first_line().starts_with("http_server: listening on "));
    CHECK(server.first_line().ends_with(", 2 workers, " + mode + ", pid " + std::to_string(server.pid())));
    CHECK(server.get("/").body == "Hello World\n");
    server.end();
}

TEST_CASE("http_server: answers on /, /hello/:name? and nowhere else") {
    Server server(each_mode(), 1);
    HttpClient client = server.client();
    const test::HttpReply root = client.get("/");
    CHECK(root.status == 200);
    CHECK(root.body == "Hello World\n");
    CHECK(root.field("content-type") == "text/plain; charset=utf-8");
    CHECK(root.field("date").ends_with(" GMT"));
    CHECK(client.get("/hello").body == "Hello World\n");
    CHECK(client.get("/hello/John").body == "Hello John\n");
    CHECK(client.get("/nowhere").status == 404);
    CHECK(client.get("/hello/John/Smith").status == 404);
    CHECK(client.get("/").status == 200);
    server.end();
}

TEST_CASE("http_server: sends the body back, whatever the method and however it comes") {
    Server server(each_mode(), 1);
    HttpClient client = server.client();
    const std::string large(300'000, 'y');
    for (const char* method : {"POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
        CAPTURE(std::string(method));
        CHECK(client.ask(method, "/", "some text").body == "some text");
        CHECK(client.ask(method, "/", large).body == large);
    }
    CHECK(client.ask("POST", "/").body.empty());
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n");
    client.send("7;name=value\r\n, World\r\n0\r\nTrailer: 1\r\n\r\n");
    CHECK(client.answer().body == "Hello, World");
    client.send("PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    CHECK(client.answer().body.empty());
    server.end();
}

TEST_CASE("http_server: streams as many bytes as it was asked for") {
    Server server(each_mode(), 1);
    HttpClient client = server.client();
    for (const std::size_t size : {0U, 1U, 65'535U, 65'536U, 65'537U, 5'000'000U}) {
        CAPTURE(size);
        const test::HttpReply reply = client.get("/bytes/" + std::to_string(size));
        CHECK(reply.status == 200);
        CHECK(count_field(reply) == std::to_string(size));
        CHECK((reply.body == std::string(size, 'x')));
    }
    for (const char* target : {"/bytes/", "/bytes/x", "/bytes/-1", "/bytes/1x", "/bytes/99999999999999999999"}) {
        CAPTURE(std::string(target));
        CHECK(client.get(target).status == 404);
    }
    server.end();
}

TEST_CASE("http_server: HEAD has the head of GET and no body") {
    Server server(each_mode(), 1);
    HttpClient client = server.client();
    for (const char* target : {"/", "/hello/John", "/bytes/70000"}) {
        CAPTURE(std::string(target));
        const test::HttpReply get = client.get(target);
        client.send("HEAD", target);
        const auto head = client.read(true);
        REQUIRE(head);
        CHECK(head->status == 200);
        CHECK(count_field(*head) == count_field(get));
        CHECK(count_field(*head) == std::to_string(get.body.size()));
    }
    CHECK(client.get("/").body == "Hello World\n"); // nothing came in between
    server.end();
}

TEST_CASE("http_server: pipelined requests are answered in their order") {
    Server server(each_mode(), 1);
    HttpClient client = server.client();
    std::string requests;
    for (int i = 0; i < 100; ++i) {
        const std::string target = i % 10 == 0 ? "/sleep/1" : "/hello/" + std::to_string(i);
        requests += "GET " + target + " HTTP/1.1\r\nHost: test\r\n\r\n";
    }
    client.send(requests);
    for (int i = 0; i < 100; ++i) {
        CAPTURE(i);
        const test::HttpReply reply = client.answer();
        CHECK(reply.body == (i % 10 == 0 ? "slept 1 ms\n" : "Hello " + std::to_string(i) + "\n"));
    }
    server.end();
}

TEST_CASE("http_server: a request that sleeps delays no other, not even in the same worker") {
    Server server(each_mode(), 1);
    HttpClient slow = server.client();
    const auto begin = std::chrono::steady_clock::now();
    slow.send("GET", "/sleep/800");
    for (int i = 0; i < 10; ++i) CHECK(server.get("/").body == "Hello World\n");
    CHECK(std::chrono::steady_clock::now() - begin < 800ms);
    CHECK(slow.answer().body == "slept 800 ms\n");
    CHECK(std::chrono::steady_clock::now() - begin >= 800ms);
    server.end();
}

TEST_CASE("http_server: each worker tells who it is") {
    Server server(each_mode(), 3);
    const auto answers = all_workers(server, 3);
    std::set<int> ids, pids, slots;
    for (const std::string& answer : answers) {
        ids.insert(number(answer, "id"));
        pids.insert(number(answer, "pid"));
        slots.insert(number(answer, "slot"));
        CHECK(test::parent_of(number(answer, "pid")) == server.pid());
    }
    CHECK(ids == std::set{1, 2, 3});
    CHECK(slots == std::set{0, 1, 2});
    CHECK(pids.size() == 3);
    server.end();
}

TEST_CASE("http_server: counts the requests of all workers, also of one that has ended") {
    Server server(each_mode(), 3);
    CHECK(server.get("/count").body == "1\n");
    for (int i = 0; i < 30; ++i) server.get("/");
    CHECK(server.get("/count").body == "32\n");
    CHECK(ends_connection(server, "/exit/0"));
    CHECK(server.get("/count").body == "34\n");
    for (int i = 0; i < 10; ++i) server.get("/nowhere");
    CHECK(server.get("/count").body == "45\n");
    server.after("http_server: worker ");
    server.end();
}

TEST_CASE("http_server: counts while many ask at once") {
    Server server(each_mode(), 2);
    std::vector<HttpClient> clients;
    for (int i = 0; i < 20; ++i) clients.push_back(server.client());
    for (HttpClient& client : clients) client.send("GET", "/count");
    for (HttpClient& client : clients) {
        const int served = std::stoi(client.answer().body);
        CHECK(served >= 1);
        CHECK(served <= 20);
    }
    CHECK(server.get("/count").body == "21\n");
    server.end();
}

TEST_CASE("http_server: a worker that exits, or crashes, ends its connection and has a successor") {
    Server server(each_mode(), 1);
    for (const int code : {0, 3, 255}) {
        CAPTURE(code);
        CHECK(ends_connection(server, "/exit/" + std::to_string(code)));
        CHECK(server.after("http_server: worker ").ends_with(" exited with code " + std::to_string(code)));
        CHECK(server.get("/").body == "Hello World\n");
    }
    CHECK(server.get("/exit/256").status == 404);
    CHECK(ends_connection(server, "/crash"));
    CHECK(server.after("http_server: worker 4 ").starts_with("killed by SIGABRT"));
    CHECK(number(server.get("/worker").body, "id") == 5);
    server.end();
}

TEST_CASE("http_server: what is under way when it is told to end is answered") {
    Server server(each_mode(), 2);
    HttpClient client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\nGET /sleep/300 HTTP/1.1\r\nHost: test\r\n\r\n");
    CHECK(client.answer().body == "Hello World\n");
    server.signal(SIGTERM);
    const test::HttpReply reply = client.answer();
    CHECK(reply.body == "slept 300 ms\n");
    CHECK(client.ends());
    CHECK(server.rest() == "");
    CHECK(server.wait() == cohort::ExitStatus::exited(0));
}

TEST_CASE("http_server: curl gets along with it: keep-alive, chunked upload, Expect") {
    Server server(each_mode(), 2);
    const std::string url = "http://127.0.0.1:" + std::to_string(server.port());
    const std::string curl = "curl -sS --max-time 20 ";
    const std::string report = " -w '%{http_code} %{size_download} %{num_connects}\\n' ";
    CHECK(run_shell(curl + report + "-o /dev/null " + url + "/bytes/2000000 -o /dev/null " + url + "/hello/curl") ==
          "200 2000000 1\n200 11 0\n");
    const std::string upload = "head -c 900000 /dev/zero | " + curl + report + "-o /dev/null -X POST -T - ";
    CHECK(run_shell(upload + "-H 'Expect: 100-continue' " + url + "/") == "200 900000 1\n");
    CHECK(run_shell(curl + "-I " + url + "/bytes/17").find("Content-Length: 17\r\n") != std::string::npos);
    server.end();
}

TEST_CASE("http_server: answers wrong arguments with its usage and code 2") {
    const std::vector<std::vector<std::string>> wrong{
        {"--port", "65536"},  {"--port", "http"}, {"--port"},    {"--port", "-1"},
        {"--workers", "two"}, {"--mode", "fast"}, {"--verbose"}, {"8080"}};
    for (const auto& args : wrong) {
        CAPTURE(args.front());
        refuses(args, 2, "usage: http_server [--port");
    }
}

TEST_CASE("http_server: a port in use is an error at the start") {
    const std::string mode = each_mode();
    Server server(mode, 1);
    refuses({"--port", std::to_string(server.port()), "--mode", mode}, 1,
            std::to_string(server.port()) + ": Address already in use");
    CHECK(server.get("/").body == "Hello World\n");
    server.end();
}
