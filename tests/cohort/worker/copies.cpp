// SPDX-License-Identifier: MIT
// A process that a handler forks, as to execute something, and that comes back instead of ending: by an exception,
// since the program was not found, or by a mistake. Its parent goes on as if nothing had happened.
#include <cohort/worker.hpp>

#include <cohort/http/serve.hpp>
#include <cohort/run.hpp>

#include "support/client.hpp"
#include "support/http_client.hpp"
#include "support/process.hpp"
#include "support/run_for.hpp"

#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

using namespace test;

namespace {

int end_of_child(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// In the child does what `how` says; in the parent gives how that ended.
Task<std::string> fork_and(std::string how) {
    const pid_t child = ::fork();
    if (child != 0) co_return "parent of " + std::to_string(end_of_child(child));
    if (how == "throw") throw std::runtime_error("no such program");
    if (how == "throw 42") throw 42;
    if (how == "wait") co_await yield();
    if (how == "wait for ever") co_await never();
    if (how == "exit") ::_exit(7);
    if (how == "abort") std::abort();
    co_return "child";
}

struct Row {
    const char* how;
    const char* reply;
};
constexpr Row rows[] = {
    {"throw", "parent of 1"},         {"throw 42", "parent of 1"}, {"return", "parent of 1"}, {"wait", "parent of 1"},
    {"wait for ever", "parent of 1"}, {"exit", "parent of 7"},     {"abort", "parent of -6"},
};

Task<http::Response> fork_there(const http::Request& request) {
    if (request.path() == "/") co_return http::text("well");
    const std::string how = co_await request.text(100);
    const std::string reply = co_await fork_and(how);
    co_return http::text(reply);
}

Task<> write_reply(http::BodyWriter& body, std::string how) {
    const std::string reply = co_await fork_and(how);
    co_await body.write(reply);
}

/// In the middle of a response.
Task<http::Response> fork_in_stream(const http::Request& request) {
    if (request.path() == "/") co_return http::text("well");
    const std::string how = co_await request.text(100);
    co_return http::stream([how](http::BodyWriter& body) { return write_reply(body, how); });
}

Task<http::Response> (*handler)(const http::Request&);

Task<http::Response> handle(WorkerBase&, const http::Request& request) { return handler(request); }

Task<> serve_http(App::Worker& self) {
    auto listener = co_await self.listen(any_port());
    co_await http::serve(self, listener, handle);
}

/// What is asked for on one connection, one after the other, behind it.
void check_service(std::uint16_t port, HttpClient& client) {
    for (int i = 0; i != 20; ++i) {
        CHECK(client.get("/").body == "well");
        HttpClient other(port);
        CHECK(other.get("/").body == "well");
    }
}

} // namespace

TEST_CASE("a child of an HTTP handler that comes back ends, and its parent answers this request and all others") {
    for (auto* const its_handler : {&fork_there, &fork_in_stream}) {
        handler = its_handler;
        Helper server([] {
            ::dup2(STDOUT_FILENO, STDERR_FILENO);
            return run<App>(
                plain_options(),
                [](App& app) -> Task<> {
                    const std::uint16_t port = co_await served_port(app);
                    std::cout << "port " << port << std::endl;
                    while (co_await app.receive()) {
                    }
                },
                serve_http);
        });
        const auto port = static_cast<std::uint16_t>(server.number_after("port "));
        HttpClient client(port);
        for (const Row& row : rows) {
            CAPTURE(row.how);
            CHECK(client.ask("POST", "/fork", row.how).body == row.reply);
            check_service(port, client);
        }
        server.signal(SIGTERM);
        const std::string said = server.rest();
        CHECK(said.find("came back to cohort instead of ending") != std::string::npos);
        CHECK(said.find("is aborted") == std::string::npos); // it was no worker
        CHECK(said.find("exited") == std::string::npos);
        CHECK(server.wait().code() == 0);
    }
}

namespace {

Task<Note> fork_for(const Note& request) {
    const std::string reply = co_await fork_and(request.text);
    co_return Note{reply, request.number};
}
Task<> serve_forks(App::Worker& self) { return self.serve(fork_for); }

} // namespace

TEST_CASE("a child of a call's handler that comes back ends, and its parent replies to this call and all others") {
    in_master<App>(plain_options(), [](App& app) -> Task<> {
        const WorkerId worker = app.spawn(serve_forks);
        for (const Row& row : rows) {
            CAPTURE(row.how);
            for (int i = 0; i != 3; ++i) {
                const Note request{row.how, i};
                const Note reply = co_await app.call(worker, request, limit);
                CHECK(reply.text == row.reply);
                CHECK(reply.number == i);
            }
        }
        co_await app.stop();
    });
}

namespace {

/// From here a child would return into this function.
bool comes_back(const Row& row) { return std::string_view(row.how) != "return"; }

/// The master's own function forks for each of them.
Task<> fork_in_master(App& app) {
    const std::uint16_t port = co_await served_port(app);
    std::cout << "worker " << app.workers().at(0).pid << std::endl;
    for (const Row& row : rows) {
        if (!comes_back(row)) continue;
        const std::string reply = co_await fork_and(row.how);
        std::cout << reply << std::endl;
    }
    std::cout << "port " << port << std::endl;
    while (co_await app.receive()) {
    }
}

} // namespace

TEST_CASE("a child of the master that comes back ends, and the cluster serves on") {
    handler = fork_there;
    Helper server([] {
        Options options = permanent_options();
        options.workers = 1;
        return run<App>(options, fork_in_master, serve_http);
    });
    const pid_t worker = server.number_after("worker ");
    for (const Row& row : rows) {
        CAPTURE(row.how);
        if (comes_back(row)) CHECK(server.line() == row.reply);
    }
    const auto port = static_cast<std::uint16_t>(server.number_after("port "));
    HttpClient client(port);
    check_service(port, client);
    CHECK(children_of(server.pid()) == std::vector<pid_t>{worker}); // nobody was told to leave
    server.signal(SIGHUP);
    check_service(port, client);
    server.signal(SIGTERM);
    CHECK(server.wait().code() == 0);
}
