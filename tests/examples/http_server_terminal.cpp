// SPDX-License-Identifier: MIT
// Servers that are started from a terminal: in its foreground and background, with `stty tostop`, and when it is gone.
// The master of http_server prints, and the worker of http_app.
#include "support/example.hpp"
#include "support/http_client.hpp"
#include "support/process.hpp"
#include "support/terminal.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

using namespace std::chrono_literals;
using test::Example;
using test::HttpClient;
using test::Job;
using test::Shell;
using test::Terminal;

namespace {

constexpr auto patience = 20s;
const Job every_job[] = {Job::foreground, Job::background, Job::background_tostop, Job::nohup, Job::own_session};
const char* const both_programs[] = {"http_server", "http_app"};

/// A server in a terminal, which has said where it listens.
class Started : public Terminal {
public:
    Started(Job how, Shell shell, const std::string& program)
        : Terminal(how, shell, Example::path_of(program),
                   program == "http_app" ? std::vector<std::string>{".", "127.0.0.1:0"}
                                         : std::vector<std::string>{"--port", "0", "--workers", "2"}),
          port_(Example::port_in(after(program == "http_app" ? "listening on port" : "listening on"))),
          master_(job()),
          prints_requests_(program == "http_app") {}

    std::uint16_t port() const { return port_; }
    bool ends() const { return master_.ends_within(patience); }

    bool answers() const { return HttpClient(port_).get(prints_requests_ ? "/livez" : "/").status == 200; }
    /// The beginning of a request that it waits for, after "100 Continue", to be ended by 5 bytes.
    std::string slow_request() const {
        return std::string(prints_requests_ ? "POST /name" : "POST /") +
               " HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-www-form-urlencoded\r\n"
               "Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    }
    /// What is said of a request is on the screen.
    bool shows_requests() {
        if (prints_requests_) CHECK(after("GET /livez").starts_with(" HTTP/1.1\" 200"));
        return true;
    }
    /// None of the processes uses more of the CPU than what rest takes.
    bool is_at_rest() const {
        std::vector<pid_t> all = test::children_of(job());
        all.push_back(job());
        long before = 0;
        long behind = 0;
        for (const pid_t process : all) before += ticks(process);
        std::this_thread::sleep_for(200ms);
        for (const pid_t process : all) behind += ticks(process);
        return behind - before < ::sysconf(_SC_CLK_TCK) / 10;
    }
    std::size_t workers() const { return test::children_of(job()).size(); }

private:
    /// proc(5), stat: fields 14 and 15.
    static long ticks(pid_t process) {
        std::ifstream file("/proc/" + std::to_string(process) + "/stat");
        std::string text((std::istreambuf_iterator<char>(file)), {});
        std::istringstream fields(text.substr(text.rfind(')') + 1));
        std::string skipped;
        for (int field = 3; field != 14; ++field) fields >> skipped;
        long user = 0;
        long system = 0;
        fields >> user >> system;
        return user + system;
    }

    std::uint16_t port_;
    test::Watched master_;
    bool prints_requests_;
};

} // namespace

TEST_CASE("a server in a terminal serves, prints, rests and hears SIGTERM, wherever it was started") {
    for (const Job how : every_job) {
        for (const char* const program : both_programs) {
            CAPTURE(static_cast<int>(how));
            CAPTURE(std::string(program));
            Started server(how, Shell::bash, program);
            const std::size_t workers = server.workers();
            for (int i = 0; i != 3; ++i) CHECK((server.answers() && server.shows_requests()));
            CHECK(server.is_at_rest());
            CHECK(server.workers() == workers);
            ::kill(server.job(), SIGTERM);
            CHECK(server.wait() == 0);
            CHECK(HttpClient::is_released(server.port()));
        }
    }
}

TEST_CASE("a server whose terminal is closed finishes what is in flight, unless it was to outlive it") {
    for (const Shell shell : {Shell::plain, Shell::bash}) {
        for (const Job how : every_job) {
            for (const char* const program : both_programs) {
                CAPTURE(static_cast<int>(shell));
                CAPTURE(static_cast<int>(how));
                CAPTURE(std::string(program));
                // A plain shell tells nobody in the background, and the kernel neither.
                const bool is_told = how == Job::foreground || (shell == Shell::bash && how != Job::own_session);
                const bool goes_on = !is_told || how == Job::nohup;
                Started server(how, shell, program);
                const std::vector<pid_t> workers = test::children_of(server.job());
                HttpClient client(server.port());
                client.send(server.slow_request());
                CHECK(client.read(true).value().status == 100);
                CHECK(server.answers());
                server.close();
                if (!goes_on) CHECK(HttpClient::is_released(server.port()));
                client.send("name=");
                CHECK(client.answer().status == (program == both_programs[0] ? 200 : 422));
                if (goes_on) {
                    for (int i = 0; i != 3; ++i) CHECK(server.answers());
                    CHECK(server.is_at_rest());
                    CHECK(test::children_of(server.job()) == workers);
                    ::kill(server.job(), SIGTERM);
                }
                CHECK(server.ends());
                CHECK(HttpClient::is_released(server.port()));
            }
        }
    }
}

TEST_CASE("commands of the same signals that an operator sends are obeyed in a terminal, too") {
    for (const Job how : every_job) {
        CAPTURE(static_cast<int>(how));
        Started server(how, Shell::bash, "http_server");
        const std::vector<pid_t> first = test::children_of(server.job());
        ::kill(server.job(), SIGTTIN);
        CHECK(test::eventually([&] { return server.workers() == 3; }));
        ::kill(server.job(), SIGTTOU);
        CHECK(test::eventually([&] { return server.workers() == 2; }));
        ::kill(server.job(), SIGHUP);
        CHECK(test::eventually([&] {
            const auto now = test::children_of(server.job());
            return now.size() == 2 && std::ranges::find_first_of(now, first) == now.end();
        }));
        CHECK(server.answers());
        ::kill(server.job(), SIGTERM);
        CHECK(server.wait() == 0);
    }
}
