// SPDX-License-Identifier: MIT
// The demo server when signals reach more of its processes than the master, or others than it, while requests are in
// flight.
#include "support/example.hpp"
#include "support/http_client.hpp"
#include "support/process.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

using cohort::ExitStatus;
using test::children_of;
using test::eventually;
using test::Example;
using test::HttpClient;

namespace {

constexpr unsigned in_flight = 6;

/// The server with two workers, and requests that they have begun to read.
class Busy : public Example {
public:
    explicit Busy(const std::string& mode, unsigned workers = 2)
        : Example("http_server", {"--port", "0", "--workers", std::to_string(workers), "--mode", mode}),
          port_(port_after("http_server: listening on ")) {
        CHECK(eventually([&] { return children_of(pid()).size() == workers; }));
        workers_ = children_of(pid());
        for (unsigned i = 0; i < in_flight; ++i) {
            clients_.emplace_back(port_);
            clients_.back().send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
            CHECK(clients_.back().read(true).value().status == 100);
        }
    }

    std::uint16_t port() const { return port_; }
    const std::vector<pid_t>& workers() const { return workers_; }
    std::vector<pid_t> all() const {
        std::vector<pid_t> all = workers_;
        all.push_back(pid());
        return all;
    }

    /// And waits until each has taken it. `to_groups`: to the process groups of those that lead one, as workers do.
    static void send(int signal, const std::vector<pid_t>& processes, bool to_groups = false) {
        for (const pid_t process : processes)
            if (!to_groups || ::kill(-process, signal) != 0) ::kill(process, signal);
        for (const pid_t process : processes) CHECK(eventually([&] { return !test::is_pending(signal, process); }));
    }
    /// Sends the rest of each request.
    unsigned answered() {
        unsigned answered = 0;
        for (HttpClient& client : clients_) {
            client.send("hello");
            const auto reply = client.read();
            if (reply && reply->status == 200 && reply->body == "hello") ++answered;
        }
        return answered;
    }
    std::vector<HttpClient>& clients() { return clients_; }

    void check_end() {
        CHECK(rest() == "");
        CHECK(wait() == ExitStatus::exited(0));
        check_nothing_left();
    }
    /// It has a successor, and ends when that has all.
    void check_end_with(pid_t new_master) {
        const test::Watched watched(new_master); // whatever goes wrong, it ends
        const std::string told = after("cohort: upgrade: ");
        CHECK(told.starts_with("2 workers were replaced in "));
        CHECK(told.ends_with(" s, process " + std::to_string(new_master) + " follows"));
        CHECK(wait() == ExitStatus::exited(0));
        ::kill(new_master, SIGTERM);
        CHECK(rest() == "");
        check_nothing_left();
    }
    void check_nothing_left() const {
        for (const pid_t worker : workers_) CHECK(::kill(worker, 0) == -1);
        CHECK(HttpClient::is_released(port_));
    }
    /// So many other workers than at the start, and whoever asks meanwhile is answered.
    void check_replaced() {
        const auto are_there = [this] {
            CHECK(HttpClient(port_).get("/").body == "Hello World\n");
            const auto now = children_of(pid());
            return std::ranges::count_if(now, [this](pid_t one) { return !is_first(one); }) ==
                   static_cast<std::ptrdiff_t>(workers_.size());
        };
        CHECK((eventually(are_there) || eventually(are_there))); // one after the other
    }
    void check_old_gone() {
        CHECK(eventually(
            [&] { return std::ranges::none_of(children_of(pid()), [&](pid_t one) { return is_first(one); }); }));
    }
    bool is_first(pid_t worker) const { return std::ranges::find(workers_, worker) != workers_.end(); }

private:
    std::uint16_t port_;
    std::vector<pid_t> workers_;
    std::vector<HttpClient> clients_;
};

} // namespace

TEST_CASE("http_server: stopped by a signal to all its processes it answers what is in flight") {
    const std::string mode = test::each_kind_of_mode();
    for (const int signal : {SIGTERM, SIGINT, SIGQUIT}) {
        for (const std::string order : {"workers first", "master first", "groups"}) {
            CAPTURE(signal);
            CAPTURE(order);
            Busy server(mode);
            std::vector<pid_t> all = server.all();
            if (order[0] == 'm') std::ranges::reverse(all);
            Busy::send(signal, all, order[0] == 'g');
            CHECK(server.answered() == in_flight);
            server.check_end();
        }
    }
}

TEST_CASE("http_server: the signals that mean something to the master alone end no worker") {
    const std::string mode = test::each_kind_of_mode();
    for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2}) {
        for (const bool with_master : {true, false}) {
            CAPTURE(signal);
            CAPTURE(with_master);
            Busy server(mode);
            Busy::send(signal, with_master ? server.all() : server.workers());
            if (with_master && signal == SIGHUP) {
                server.check_replaced();
                CHECK(server.after("cohort: reload: ").starts_with("2 workers were replaced in "));
            }
            const bool is_upgrade = with_master && signal == SIGUSR2;
            std::string line;
            if (is_upgrade) line = server.after("http_server: listening on ");
            if (!is_upgrade && signal != SIGHUP) CHECK(children_of(server.pid()) == server.workers());
            CHECK(HttpClient(server.port()).get("/").body == "Hello World\n");
            CHECK(server.answered() == in_flight);
            if (with_master && signal == SIGHUP) server.check_old_gone();
            if (is_upgrade) {
                server.check_end_with(std::stoi(line.substr(line.rfind(' '))));
                continue;
            }
            server.signal(SIGTERM);
            server.check_end();
        }
    }
}

TEST_CASE("http_server: the first signal to end after an upgrade waits for what is in flight, as any first one") {
    const std::string mode = test::each_kind_of_mode();
    for (const int signal : {SIGTERM, SIGINT, SIGQUIT}) {
        CAPTURE(signal);
        Busy server(mode);
        server.signal(SIGUSR2);
        const std::string line = server.after("http_server: listening on ");
        const pid_t new_master = std::stoi(line.substr(line.rfind(' ')));
        const test::Watched watched(new_master); // whatever goes wrong, it ends
        CHECK(HttpClient(server.port()).get("/").body == "Hello World\n");
        Busy::send(signal, server.all());
        CHECK(server.answered() == in_flight);
        CHECK(server.wait() == ExitStatus::exited(0));
        ::kill(new_master, SIGTERM);
        const std::string rest = server.rest(); // what comes first, the signal or the end of the upgrade, is open
        CAPTURE(rest);
        const bool was_first = rest.starts_with("cohort: upgrade: 2 workers were replaced in ");
        CHECK((was_first || rest == "cohort: upgrade: the cluster is stopping\n"));
        server.check_nothing_left();
    }
}

TEST_CASE("http_server: workers that are told to end by a signal are replaced first, and answer what is in flight") {
    const std::string mode = test::each_kind_of_mode();
    for (const int signal : {SIGTERM, SIGINT, SIGQUIT}) {
        for (const unsigned workers : {1U, 2U}) {
            CAPTURE(signal);
            CAPTURE(workers);
            Busy server(mode, workers);
            Busy::send(signal, server.workers());
            server.check_replaced();
            CHECK(server.answered() == in_flight);
            server.check_old_gone();
            server.signal(SIGTERM);
            server.check_end();
        }
    }
}

TEST_CASE("http_server: a second signal to all ends it at once") {
    for (const auto& [first, second] : {std::pair{SIGTERM, SIGTERM}, {SIGINT, SIGINT}, {SIGQUIT, SIGTERM}}) {
        Busy server("round-robin");
        Busy::send(first, server.all());
        for (const pid_t process : server.all()) ::kill(process, second);
        server.check_end();
        for (HttpClient& client : server.clients()) CHECK_THROWS(client.answer());
    }
}

TEST_CASE("http_server: a second signal to one worker ends it at once, and it alone") {
    Busy server("round-robin");
    const pid_t worker = server.workers()[0];
    Busy::send(SIGTERM, {worker});
    ::kill(worker, SIGTERM);
    CHECK(eventually([&] {
        const auto now = children_of(server.pid());
        return now.size() == 2 && std::ranges::find(now, worker) == now.end();
    }));
    CHECK(std::ranges::count_if(children_of(server.pid()), [&](pid_t one) { return server.is_first(one); }) == 1);
    CHECK(HttpClient(server.port()).get("/").body == "Hello World\n");
    server.signal(SIGKILL);
}
