// SPDX-License-Identifier: MIT
// Every kind of endpoint, as it is in both modes: IPv6 alone, inherited and activated sockets, paths, the queue's
// length.
#include <cohort/mode.hpp>

#include <cohort/detail/socket/listen_socket.hpp>

#include <asio/io_context.hpp>

#include "support/child.hpp"
#include "support/client.hpp"
#include "support/folder.hpp"
#include "support/free_port.hpp"
#include "support/process.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace test;

namespace {

namespace fs = std::filesystem;

std::vector<Endpoint> wanted_endpoints; // for bodies, set before the fork

template <class W>
Task<> serve_connections(W& self, Listener listener) {
    co_await serve(self, listener);
}

/// Serves all that is wanted, one after the other opened, at the same time served.
template <class W>
Task<> serve_each_wanted(W& self) {
    for (const Endpoint& endpoint : wanted_endpoints) {
        auto listener = co_await self.listen(endpoint);
        spawn(self.context(), serve_connections(self, std::move(listener)));
    }
    co_await self.until_stopping();
}

/// One result for each that is wanted.
template <class W>
Task<> try_each_wanted(W& self) {
    for (const Endpoint& endpoint : wanted_endpoints) {
        const std::string result = co_await try_to_listen(self, endpoint);
        co_await say(self, result);
    }
}

template <class W>
Task<> listen_again_until_it_works(W& self) {
    for (std::string result; result != "listening";) {
        result = co_await try_to_listen(self, wanted_endpoints.front());
        co_await say(self, result);
        if (result != "listening") co_await self.receive();
    }
}

bool has_ipv6() {
    std::error_code error;
    return static_cast<bool>(detail::open_bound("[::1]:0", false, error));
}

/// A socket that is not cohort's, as a service manager would have it.
class Foreign {
public:
    explicit Foreign(const Endpoint& endpoint) {
        std::error_code error;
        fd_ = detail::open_listener(endpoint, false, 16, error).release();
        REQUIRE_FALSE(error);
    }
    Foreign(const Foreign&) = delete;
    Foreign& operator=(const Foreign&) = delete;
    ~Foreign() { ::close(fd_); }
    int get() const { return fd_; }
    bool listens() const { return detail::is_enabled(fd_, SOL_SOCKET, SO_ACCEPTCONN); }
    Endpoint address() const { return detail::local_endpoint(fd_); }

private:
    int fd_;
};

template <class A>
Task<std::set<WorkerId>> who_serves(A& app, Endpoint endpoint, std::size_t enough) {
    std::set<WorkerId> served;
    for (int i = 0; i < 500 && served.size() < enough; ++i) {
        const std::string reply = co_await ask(app, endpoint);
        served.insert(who(reply));
    }
    co_return served;
}

template <class A>
Task<> disconnect_all(A& app) {
    for (const auto& worker : app.workers()) app.disconnect(worker.id);
    co_await app.until_finished();
}

/// The lengths of the queues of all listening TCP sockets of this process: tcp(7), TCP_INFO.
std::set<unsigned> queue_lengths() {
    std::set<unsigned> lengths;
    for (const auto& [fd, target] : open_descriptors()) {
        tcp_info info{};
        socklen_t size = sizeof info;
        const bool listens = detail::is_enabled(fd, SOL_SOCKET, SO_ACCEPTCONN);
        if (listens && ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0) lengths.insert(info.tcpi_sacked);
    }
    return lengths;
}

TEST_CASE_TEMPLATE("IPv6 alone and IPv4 share a port number, and both are served", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        if (!has_ipv6()) co_return;
        const std::uint16_t port = free_port();
        const Endpoint both = Endpoint::tcp("::", port);
        wanted_endpoints = {both.only_v6(), Endpoint::tcp("0.0.0.0", port)};
        for (int i = 0; i < 2; ++i) app.spawn(serve_each_wanted<typename A::Worker>);
        std::set<std::string> endpoints;
        for (int i = 0; i < 4; ++i) {
            const Event event = co_await next(app, WorkerState::listening);
            endpoints.insert(event.endpoint->to_string());
        }
        CHECK(endpoints == std::set{wanted_endpoints[0].to_string(), wanted_endpoints[1].to_string()});
        for (const char* const host : {"127.0.0.1", "::1"}) {
            const auto served = co_await who_serves(app, Endpoint::tcp(host, port), 2);
            CHECK(served == std::set<WorkerId>{1, 2});
        }
        wanted_endpoints = {both};
        app.spawn(try_each_wanted<typename A::Worker>);
        const auto result = co_await mail(app);
        CHECK(result.message.text == "Address already in use");
    });
}

TEST_CASE_TEMPLATE("with IPv6 alone the port of IPv4 stays free, with both it serves IPv4", A, App, SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        if (!has_ipv6()) co_return;
        wanted_endpoints = {Endpoint::tcp("::", free_port()).only_v6(), Endpoint("[::]:0")};
        for (int i = 0; i < 3; ++i) app.spawn(serve_each_wanted<typename A::Worker>);
        std::set<std::uint16_t> alone;
        std::set<std::uint16_t> both;
        for (int i = 0; i < 6; ++i) {
            const Event event = co_await next(app, WorkerState::listening);
            (event.endpoint->v6_only() ? alone : both).insert(event.endpoint->port());
        }
        REQUIRE(alone.size() == 1);
        REQUIRE(both.size() == 1);
        CHECK_THROWS_AS(Client(app.context(), *alone.begin()), std::system_error);
        const Foreign v4(Endpoint::tcp("127.0.0.1", *alone.begin()));
        const std::string reply = co_await ask(app, *both.begin());
        CHECK(who(reply) != 0);
    });
}

template <class A>
Task<> share_inherited(A& app, const Foreign& foreign) {
    for (int i = 0; i < 2; ++i) app.spawn(serve_each_wanted<typename A::Worker>);
    for (int i = 0; i < 2; ++i) {
        const Event event = co_await next(app, WorkerState::listening);
        CHECK(event.endpoint->port() == foreign.address().port());
        CHECK(event.endpoint->path() == foreign.address().path());
    }
    auto clients = crowd(app, foreign.address(), 12);
    auto served = co_await answers(clients);
    CHECK_FALSE(served.contains(0));
    app.disconnect(1);
    co_await end_of(app, 1);
    clients = crowd(app, foreign.address(), 10);
    served = co_await answers(clients);
    CHECK(served == std::map<WorkerId, int>{{2, 10}});
    co_await disconnect_all(app);
}

TEST_CASE_TEMPLATE("the master's own socket is served by all workers, and remains the master's", A, App, SharedApp) {
    const Folder folder;
    Endpoint endpoint = any_port();
    Options options = plain_options();
    bool named = false;
    SUBCASE("TCP, asked for by the workers") {}
    SUBCASE("TCP, opened by the master") { named = true; }
    SUBCASE("Unix, asked for by the workers") { endpoint = Endpoint::unix_path(folder / "socket"); }
    SUBCASE("Unix, opened by the master") {
        endpoint = Endpoint::unix_path(folder / "socket");
        named = true;
    }
    const Foreign foreign(endpoint);
    wanted_endpoints = {Endpoint::inherited(foreign.get())};
    if (named) options.listen = wanted_endpoints;
    in_master<A>(options, [&](A& app) { return share_inherited(app, foreign); });
    CHECK(foreign.listens());
    CHECK(fs::exists(folder / "socket") == endpoint.is_unix());
}

Task<> ask_into(Client& client, std::string& reply) { reply = co_await client.ask("hello"); }

/// A cluster on an inherited socket, of a program that does not belong to who has started it. Serves until it is
/// killed.
template <class A>
int serve_detached(int socket) {
    ::setsid();
    wanted_endpoints = {Endpoint::inherited(socket)};
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        app.spawn(serve_each_wanted<typename A::Worker>);
        co_await served_port(app);
        std::cout << "serving" << std::endl;
        co_await next(app, WorkerState::exited);
    });
    return 0;
}

/// Starts it, says its process, and ends.
template <class A>
int start_detached(int socket) {
    const pid_t program = fork_child([&] { return serve_detached<A>(socket); });
    std::cout << "program " << program << std::endl;
    return 0;
}

TEST_CASE_TEMPLATE("a detached program serves the socket it was given when its starter has gone", A, App, SharedApp) {
    auto foreign = std::make_unique<Foreign>(any_port());
    const Endpoint address = foreign->address();
    Helper starter([&] { return start_detached<A>(foreign->get()); });
    const Watched program(starter.number_after("program "));
    CHECK(starter.wait().code() == 0);
    REQUIRE(starter.line() == "serving");
    foreign.reset(); // nobody else has it now
    asio::io_context io(1);
    Client client(io, address);
    std::string reply;
    spawn(io, ask_into(client, reply));
    io.run_for(limit);
    CHECK(who(reply) == 1);
}

TEST_CASE_TEMPLATE("a descriptor that cannot be listened on is the worker's error, and it can listen elsewhere", A, App,
                   SharedApp) {
    in_master<A>(plain_options(), [](A& app) -> Task<> {
        const detail::UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        const detail::UniqueFd datagrams(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        wanted_endpoints = {Endpoint::inherited(999'999), Endpoint::inherited(file.get()),
                            Endpoint::inherited(datagrams.get()), Endpoint::activated("web"), any_port()};
        app.spawn(try_each_wanted<typename A::Worker>);
        for (const char* const expected :
             {"Bad file descriptor", "Socket operation on non-socket", "Protocol wrong type for socket",
              "the process was not started with this socket (LISTEN_FDS)", "listening"}) {
            const auto result = co_await mail(app);
            CHECK(result.message.text == expected);
        }
    });
}

TEST_CASE_TEMPLATE("a bad descriptor among the options is an error at the start", A, App, SharedApp) {
    asio::io_context io(1);
    Options options = plain_options();
    options.listen = {Endpoint::inherited(999'999)};
    CHECK_THROWS_WITH_AS(A(io, options), doctest::Contains("fd:999999"), std::system_error);
}

TEST_CASE_TEMPLATE("a path too long for a socket address is served with its mode, and removed at the end", A, App,
                   SharedApp) {
    const Folder folder;
    const fs::path deep = folder.path / std::string(120, 'd');
    fs::create_directory(deep);
    const Endpoint endpoint = Endpoint::unix_path((deep / "socket").string(), 0777);
    in_master<A>(plain_options(), [&](A& app) -> Task<> {
        wanted_endpoints = {endpoint};
        for (int i = 0; i < 2; ++i) app.spawn(serve_each_wanted<typename A::Worker>);
        for (int i = 0; i < 2; ++i) {
            const Event event = co_await next(app, WorkerState::listening);
            CHECK(*event.endpoint == endpoint);
        }
        struct stat status {};
        REQUIRE(::stat(endpoint.path().c_str(), &status) == 0);
        CHECK((status.st_mode & 0777U) == 0777U);
        auto clients = crowd(app, endpoint, 20);
        const auto served = co_await answers(clients);
        CHECK_FALSE(served.contains(0));
        co_await disconnect_all(app);
    });
    CHECK(fs::is_empty(deep));
}

/// Has the path until it is killed.
int hold(const Endpoint& endpoint) {
    std::error_code error;
    const auto listener = detail::open_listener(endpoint, false, 1, error);
    std::cout << (error ? "error" : "held") << std::endl;
    return ::pause();
}

TEST_CASE_TEMPLATE("a path that another process serves is in use, until that one has gone", A, App, SharedApp) {
    const Folder folder;
    const Endpoint endpoint = Endpoint::unix_path(folder / "socket");
    Helper holder([&] { return hold(endpoint); });
    REQUIRE(holder.line() == "held");
    in_master<A>(plain_options(), [&](A& app) -> Task<> {
        wanted_endpoints = {endpoint};
        const WorkerId worker = app.spawn(listen_again_until_it_works<typename A::Worker>);
        auto result = co_await mail(app);
        CHECK(result.message.text == "Address already in use");
        holder.signal(SIGKILL);
        holder.wait();
        co_await tell(app, worker, "again");
        result = co_await mail(app);
        CHECK(result.message.text == "listening");
    });
    CHECK_FALSE(fs::exists(endpoint.path()));
}

TEST_CASE_TEMPLATE("the kernel's queue has the length that was asked for", A, App, SharedApp) {
    Options options = plain_options();
    options.backlog = 7;
    in_master<A>(options, [](A& app) -> Task<> {
        wanted_endpoints = {any_port()};
        for (int i = 0; i < 2; ++i) app.spawn(serve_each_wanted<typename A::Worker>);
        co_await served_port(app, 2);
        CHECK(queue_lengths() == std::set<unsigned>{7});
    });
}

/// A program that was started with two sockets; says who served them.
template <class A>
void serve_activated() {
    Options options = plain_options();
    options.listen = {Endpoint::activated("web")};
    wanted_endpoints = {Endpoint::activated("web"), Endpoint::activated("1")};
    in_master<A>(options, [](A& app) -> Task<> {
        for (int i = 0; i < 2; ++i) app.spawn(serve_each_wanted<typename A::Worker>);
        co_await served_port(app, 4);
        for (const int fd : {3, 4}) {
            const std::string reply = co_await ask(app, detail::local_endpoint(fd));
            std::cout << (who(reply) != 0 ? "served " : "not served ") << fd << std::endl;
        }
        co_await disconnect_all(app);
    });
}

TEST_CASE("(the program that the next test starts)" * doctest::skip()) {
    serve_activated<App>();
    serve_activated<SharedApp>();
}

/// Becomes this program anew, with the two sockets as its descriptors 3 and 4 and as systemd would start it.
int start_activated(const Foreign& first, const Foreign& second) {
    const int high = ::fcntl(second.get(), F_DUPFD, 10);
    const int low = ::fcntl(first.get(), F_DUPFD, 10);
    if (::dup2(low, 3) != 3 || ::dup2(high, 4) != 4) return 1;
    ::close(low);
    ::close(high);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", "2", 1);
    ::setenv("LISTEN_FDNAMES", "web:local", 1);
    ::setenv("COHORT_TEST_DEADLINE", "60", 1);
    ::execl("/proc/self/exe", "cohort_tests", "--no-skip", "--test-case=(the program that the next test starts)",
            "--source-file=*mode/endpoints.cpp", nullptr);
    return 2;
}

TEST_CASE("a program that a service manager has started serves the sockets it was given") {
    const Folder folder;
    const Foreign tcp(any_port());
    const Foreign path(Endpoint::unix_path(folder / "socket"));
    Helper program([&] { return start_activated(tcp, path); });
    std::vector<std::string> said;
    while (const auto line = program.line())
        if (line->find("served") != std::string::npos) said.push_back(*line);
    CHECK(said == std::vector<std::string>{"served 3", "served 4", "served 3", "served 4"});
    CHECK(program.wait().code() == 0);
    CHECK(fs::exists(folder / "socket"));
}

} // namespace
