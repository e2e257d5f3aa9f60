// SPDX-License-Identifier: MIT
// Connections that change their worker while something else happens: it dies, the cluster shrinks, or descriptors are
// few.
#include <cohort/http/serve.hpp>
#include <cohort/run.hpp>

#include "support/http_client.hpp"
#include "support/line_counter.hpp"
#include "support/process.hpp"

#include <algorithm>

#include <sys/resource.h>

using namespace test;

namespace {

using enum WorkerState;

void print_piece(const std::string& line) {
    const std::string text = line + "\n";
    [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
}

/// One connection of this worker's, that has had one line.
template <class A>
Task<Client> kept_client_of(A& app, std::uint16_t port, WorkerId worker) {
    for (;;) {
        Client client(app.context(), port);
        const std::string reply = co_await say_and_hear(client);
        if (reply == std::to_string(worker) + " 1") co_return client;
    }
}

template <class A>
Task<> kill_the_receiver(A& app) {
    for (int i = 0; i < 2; ++i) app.spawn(line_counter);
    const std::uint16_t port = co_await served_port(app, 2);
    std::vector<Client> clients;
    for (int i = 0; i < 5; ++i) {
        Client client = co_await kept_client_of(app, port, 1);
        clients.push_back(std::move(client));
    }
    const pid_t receiver = app.workers().at(1).pid;
    ::kill(receiver, SIGSTOP);
    app.disconnect(1);
    co_await end_of(app, 1);
    const auto handed_over = app.stats().total().handed_over;
    CHECK(handed_over >= 5);
    while (app.stats().total().delivered < handed_over) co_await pause(app.context(), 1ms);
    ::kill(receiver, SIGKILL);
    co_await end_of(app, 2);
    for (auto& client : clients) {
        const std::string reply = co_await say_and_hear(client);
        CHECK(reply == "3 2");
    }
    CHECK(app.stats().total().redelivered >= 5);
    clients.clear();
    co_await app.stop();
}

TEST_CASE_TEMPLATE("a connection that is on its way when its new worker is killed goes to the next, with its state", A,
                   App, SharedApp) {
    in_master<A>(permanent_options(), kill_the_receiver<A>);
}

// HTTP

template <class W>
Task<http::Response> name_kept(W& self, const http::Request& request) {
    if (request.path() == "/slow") co_await self.until_stopping();
    co_return http::text(std::to_string(self.id()));
}
template <class W>
Task<> kept_web(W& self) {
    auto listener = co_await self.listen(any_port());
    const http::ServerOptions options{.idle_timeout = 60s};
    co_await http::serve(self, listener, &name_kept<W>, options);
}

/// Who answers a request on this connection.
Task<WorkerId> ask_kept(Client& client) {
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    std::string length;
    for (std::string line = "first"; line != "\r";) {
        line = co_await client.read_line();
        if (line.starts_with("Content-Length: ")) length = line.substr(16);
    }
    std::string body;
    co_await client.read_exactly(body, std::stoul(length));
    co_return who(body);
}

template <class A>
Task<> shrink(A& app, bool by_scale) {
    for (int i = 0; i < 3; ++i) app.spawn(kept_web<typename A::Worker>);
    const std::uint16_t port = co_await served_port(app, 3);
    std::vector<Client> clients;
    for (int i = 0; i < 12; ++i) clients.emplace_back(app.context(), port);
    std::map<WorkerId, int> before;
    for (auto& client : clients) {
        const WorkerId worker = co_await ask_kept(client);
        ++before[worker];
    }
    if (by_scale) {
        app.scale(1);
    } else {
        app.disconnect(3);
        app.disconnect(2);
    }
    while (app.workers().size() > 1) co_await pause(app.context(), 1ms);
    for (auto& client : clients) {
        const WorkerId worker = co_await ask_kept(client);
        CHECK(worker == 1);
    }
    CHECK(static_cast<int>(app.stats().total().handed_over) == 12 - before[1]);
    co_await app.stop();
    for (auto& client : clients) {
        const std::string rest = co_await client.read_all();
        CHECK(rest.empty());
    }
}

TEST_CASE_TEMPLATE("a keep-alive connection goes on when its worker is scaled away or asked to leave", A, App,
                   SharedApp) {
    bool by_scale = true;
    SUBCASE("scaled away") {}
    SUBCASE("asked to leave") { by_scale = false; }
    in_master<A>(plain_options(), [by_scale](A& app) { return shrink(app, by_scale); });
}

template <class A>
Task<> announce_handover(A& app) {
    const unsigned workers = app.options().workers;
    const std::uint16_t port = co_await served_port(app, workers);
    print_piece("port " + std::to_string(port));
    while (const auto event = co_await app.next_event())
        if (event->kind == exited) print_piece("exited " + std::to_string(event->worker));
}

TEST_CASE_TEMPLATE("when everything stops an idle connection is closed, and a busy one after its answer says so", A,
                   App, SharedApp) {
    Helper master([] {
        Options options = permanent_options();
        options.workers = 2;
        return run<A>(options, announce_handover<A>, kept_web<typename A::Worker>);
    });
    const auto port = static_cast<std::uint16_t>(master.number_after("port "));
    std::vector<HttpClient> idle;
    for (int i = 0; i < 4; ++i) {
        idle.emplace_back(port);
        const HttpReply reply = idle.back().get("/");
        CHECK(reply.status == 200);
        CHECK(reply.field("connection") != "close");
    }
    HttpClient busy(port);
    busy.get("/");
    busy.send("GET", "/slow");
    HttpClient visitor(port); // once it is answered twice the busy one has been read: round and round
    for (int i = 0; i < 2; ++i) visitor.get("/");
    master.signal(SIGTERM);
    const HttpReply last = busy.answer();
    CHECK(last.status == 200);
    CHECK(last.field("connection") == "close");
    CHECK(busy.ends());
    for (auto& client : idle) CHECK(client.ends());
    CHECK(master.wait().code() == 0);
}

#if !defined(COHORT_SANITIZED) // which needs descriptors of its own

constexpr int many_kept = 600;
constexpr rlim_t few_open = 256;

template <class A>
int master_with_few_descriptors() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    Options options = permanent_options();
    options.workers = 2;
    options.worker.limits = {{RLIMIT_NOFILE, {2048, limit.rlim_max}}};
    limit.rlim_cur = few_open;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    return run<A>(options, announce_handover<A>, kept_web<typename A::Worker>);
}

/// Each is answered by one of the two last workers.
void expect_answers(std::vector<HttpClient>& clients, WorkerId first) {
    int right = 0;
    for (auto& client : clients) {
        const WorkerId worker = who(client.get("/").body);
        right += worker == first || worker == first + 1 ? 1 : 0;
    }
    CHECK(right == many_kept);
}

TEST_CASE_TEMPLATE("more idle connections than the master may have descriptors are handed over, and none is lost", A,
                   App, SharedApp) {
    Helper master(master_with_few_descriptors<A>);
    const auto port = static_cast<std::uint16_t>(master.number_after("port "));
    std::vector<HttpClient> clients;
    for (int i = 0; i < many_kept; ++i) clients.emplace_back(port);
    expect_answers(clients, 1);
    for (WorkerId next = 3; next <= 5; next += 2) {
        master.signal(SIGHUP);
        for (int i = 0; i < 2; ++i) master.after("exited ");
        expect_answers(clients, next);
    }
    master.signal(SIGTERM);
    CHECK(master.wait().code() == 0);
}

#endif

} // namespace
