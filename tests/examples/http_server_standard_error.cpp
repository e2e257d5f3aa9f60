// SPDX-License-Identifier: MIT
// Servers whose standard streams take nothing: they serve, and hear signals, as if nothing was said.
#include "support/ends.hpp"
#include "support/example.hpp"
#include "support/folder.hpp"
#include "support/http_client.hpp"
#include "support/process.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

using namespace std::chrono_literals;
using cohort::ExitStatus;
using test::children_of;
using test::Ends;
using test::eventually;
using test::Example;
using test::HttpClient;

namespace {

/// Until it takes no more. Its file description is its own, as far as there can be one.
void fill(const Ends& stream) {
    const std::string path = "/proc/self/fd/" + std::to_string(stream.write);
    const int own = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    const auto takes = [&](const char* bytes, std::size_t size) {
        return (own < 0 ? ::send(stream.write, bytes, size, MSG_DONTWAIT) : ::write(own, bytes, size)) > 0;
    };
    const std::string much(65536, '.');
    for (const std::size_t size : {much.size(), std::size_t{1}})
        while (takes(much.data(), size)) {
        }
    if (own >= 0) ::close(own);
}

void give_full_pipe(Ends& stream) {
    test::make_pipe(stream);
    fill(stream);
}
void give_full_socket(Ends& stream) {
    test::make_sockets(stream);
    fill(stream);
}
void give_full_terminal(Ends& stream) {
    test::make_terminal(stream);
    fill(stream);
}
void give_stopped_terminal(Ends& stream) {
    test::make_terminal(stream);
    REQUIRE(::tcflow(stream.write, TCOOFF) == 0);
}
void give_gone_terminal(Ends& stream) {
    give_stopped_terminal(stream);
    stream.stop_reading();
}
void give_broken_pipe(Ends& stream) {
    test::make_pipe(stream);
    stream.stop_reading();
}
void give_full_disk(Ends& stream) { stream.write = ::open("/dev/full", O_WRONLY | O_CLOEXEC); }
/// The program may write no file longer than this (RLIMIT_FSIZE).
constexpr rlim_t longest_file = 4 << 20;
void give_file_at_its_limit(Ends& stream) {
    stream.write = ::open("/tmp", O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
    REQUIRE(::ftruncate(stream.write, longest_file) == 0);
}
void give_nothing(Ends&) {}

const std::pair<const char*, void (*)(Ends&)> streams[] = {
    {"full pipe", give_full_pipe},
    {"full socket", give_full_socket},
    {"full terminal", give_full_terminal},
    {"stopped terminal", give_stopped_terminal},
    {"gone terminal", give_gone_terminal},
    {"broken pipe", give_broken_pipe},
    {"full disk", give_full_disk},
    {"file at its limit", give_file_at_its_limit},
    {"closed", give_nothing},
};

/// A program with this as its standard error, or as its standard output, too, which is then not read otherwise.
class Program : public test::Helper {
public:
    Program(const std::string& path, std::vector<std::string> args, int stream, int number = STDERR_FILENO)
        : Helper([&] {
              for (const int signal : {SIGPIPE, SIGXFSZ}) ::signal(signal, SIG_DFL);
              const rlimit limit{longest_file, longest_file};
              ::setrlimit(RLIMIT_FSIZE, &limit);
              if (stream < 0)
                  ::close(number);
              else
                  ::dup2(stream, number);
              std::string name = path;
              std::vector<char*> argv{name.data()};
              for (std::string& arg : args) argv.push_back(arg.data());
              argv.push_back(nullptr);
              return ::execv(path.c_str(), argv.data());
          }) {}

    void check_end() {
        const auto begin = std::chrono::steady_clock::now();
        signal(SIGTERM);
        CHECK(wait() == ExitStatus::exited(0));
        CHECK(std::chrono::steady_clock::now() - begin < 10s);
        CHECK(rest().empty());
    }
};

bool answers(std::uint16_t port) { return HttpClient(port).get("/").body == "Hello World\n"; }

/// Ends by itself, with the report of SIGABRT, which others have to replace.
void crash(std::uint16_t port) {
    HttpClient client(port);
    client.send("GET", "/crash");
    CHECK(client.ends());
}

bool has_other_workers(const test::Helper& program, const std::vector<pid_t>& than) {
    const auto now = children_of(program.pid());
    return now.size() == than.size() && now != than;
}

} // namespace

TEST_CASE("a server whose standard error takes nothing starts, serves, replaces workers and ends") {
    for (const auto& [name, give] : streams) {
        CAPTURE(std::string(name));
        const test::Folder folder;
        const std::string path = folder / "server";
        std::filesystem::copy_file(Example::path_of("http_server"), path);
        Ends error;
        give(error);
        Program server(path, {"--port", "0", "--workers", "2"}, error.write);
        const std::uint16_t port = Example::port_in(server.after("http_server: listening on "));
        CHECK(answers(port));
        for (int crashes = 0; crashes != 3; ++crashes) {
            CHECK(eventually([&] { return children_of(server.pid()).size() == 2; }));
            const auto before = children_of(server.pid());
            crash(port);
            CHECK(eventually([&] { return has_other_workers(server, before); }));
            CHECK(answers(port));
        }
        // The new master cannot be started, and both processes say so.
        std::filesystem::remove(path);
        const auto workers = children_of(server.pid());
        server.signal(SIGUSR2);
        CHECK(eventually([&] { return !test::is_pending(SIGUSR2, server.pid()); }));
        CHECK(answers(port));
        CHECK(eventually([&] { return children_of(server.pid()) == workers; }));
        CHECK(answers(port));
        server.check_end();
    }
}

TEST_CASE("what standard error did not take is told when it takes something again") {
    Ends error;
    test::make_pipe(error);
    Program server(Example::path_of("http_server"), {"--port", "0", "--workers", "1"}, error.write);
    const std::uint16_t port = Example::port_in(server.after("http_server: listening on "));
    const auto replace = [&] {
        CHECK(eventually([&] { return children_of(server.pid()).size() == 1; }));
        const auto before = children_of(server.pid());
        ::kill(before.at(0), SIGKILL);
        CHECK(eventually([&] { return has_other_workers(server, before); }));
        CHECK(answers(port));
    };
    fill(error);
    for (int deaths = 0; deaths != 3; ++deaths) replace();
    CHECK(error.drain().find_first_not_of('.') == std::string::npos);
    replace();
    const std::string said = error.drain();
    CHECK(said.starts_with("cohort: 3 lines were lost here: nobody took them\ncohort: worker 4 in slot 0 (process "));
    server.check_end();
}

TEST_CASE("an access log that is not taken holds up no request, and goes on later") {
    Ends output;
    test::make_pipe(output);
    Program app(Example::path_of("http_app"), {".", "127.0.0.1:0"}, output.write, STDOUT_FILENO);
    REQUIRE(test::readable_within(output.read, 20s));
    const std::uint16_t port = Example::port_in(output.drain());
    CHECK(HttpClient(port).get("/livez").status == 200);
    CHECK(output.drain().find("\"GET /livez HTTP/1.1\" 200 ") != std::string::npos);
    fill(output);
    for (int requests = 0; requests != 5; ++requests) CHECK(HttpClient(port).get("/livez").status == 200);
    CHECK(output.drain().find_first_not_of('.') == std::string::npos);
    CHECK(HttpClient(port).get("/livez").status == 200);
    const std::string log = output.drain();
    CHECK(log.starts_with("cohort: 5 lines were lost here: nobody took them\n127.0.0.1 - - ["));
    app.check_end();
}
