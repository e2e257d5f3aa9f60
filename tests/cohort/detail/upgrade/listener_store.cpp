// SPDX-License-Identifier: MIT
// Listening sockets that outlive a master, kept by a service manager whose part the test plays.
#include <cohort/detail/upgrade/listener_store.hpp>

#include <cohort/run.hpp>

#include "support/client.hpp"
#include "support/cluster.hpp"
#include "support/folder.hpp"
#include "support/process.hpp"
#include "support/service_manager.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace test;
using detail::parse_stored_name;
using detail::stored_name;

namespace {

TEST_CASE("the name of a kept listener says for which endpoint and slot it is") {
    const Endpoint endpoints[] = {
        Endpoint::tcp("127.0.0.1", 8080),
        Endpoint::tcp("::1", 0),
        Endpoint::tcp("0.0.0.0", 65'535),
        Endpoint::unix_path("/run/app/socket", 0660),
        Endpoint::unix_path("/run/a:b=c\nd %", 0600),
    };
    for (const Endpoint& endpoint : endpoints) {
        for (const unsigned slot : {0U, 7U, 4'294'967'295U}) {
            CAPTURE(endpoint.to_string());
            const std::string name = stored_name(endpoint, slot);
            CHECK(name.find_first_of(":\n= ") == std::string::npos); // sd_notify(3) takes them for something else
            CHECK(name.size() <= 255);
            const auto parsed = parse_stored_name(name);
            REQUIRE(parsed.has_value());
            CHECK(parsed->first == endpoint);
            CHECK(parsed->second == slot);
        }
    }
    CHECK(stored_name(Endpoint::unix_path("/" + std::string(106, 'p'), 0600), 4'294'967'295U).size() <= 255);
}

TEST_CASE("names of others are not taken for one") {
    const std::string good = stored_name(Endpoint::tcp("127.0.0.1", 8080), 3);
    const std::string bad[] = {
        "",
        "http",
        "cohort",
        "cohort-",
        "cohort-3",
        "cohort-3-",
        "cohort-x",
        "cohort--1-0",
        "cohort-3-zz",
        "cohort-3-0",
        good + "0",
        good + "00",
        "x" + good,
        "cohort-4294967296-" + good.substr(9),
        good.substr(0, good.size() - 2),
        good + " ",
    };
    for (const std::string& name : bad) {
        CAPTURE(name);
        CHECK_FALSE(parse_stored_name(name).has_value());
    }
}

Options kept_options(bool fd_store = true) {
    Options options = permanent_options();
    options.workers = 2;
    options.fd_store = fd_store;
    return options;
}

/// A service that is started, at first or again.
template <class A, class Body>
auto service(ServiceManager& manager, Options options, Body body) {
    return [&manager, options, body] {
        manager.adopt();
        manager.pass_store();
        return run<A>(options, body);
    };
}

std::uint16_t port_of(int listener) {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    return ntohs(address.sin_port);
}

/// When so many listeners are kept: the port of one of them.
std::uint16_t kept_port(ServiceManager& manager, std::size_t count = 1) {
    while (manager.store().size() < count) manager.next("FDSTORE=1");
    return port_of(manager.store().begin()->second.get());
}

detail::UniqueFd connected(std::uint16_t port) {
    detail::UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port);
    if (::connect(client.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) client.reset();
    return client;
}

/// Whether somebody who has accepted this connection says something.
bool is_served(const detail::UniqueFd& client) {
    char byte = 0;
    return readable_within(client.get(), 20s) && ::recv(client.get(), &byte, 1, 0) == 1;
}

TEST_CASE_TEMPLATE("a listening socket outlives a master that is killed, and one that is stopped", A, App, SharedApp) {
    for (const int signal : {SIGKILL, SIGTERM}) {
        CAPTURE(signal);
        ServiceManager manager;
        Helper first(service<A>(manager, kept_options(), host));
        const std::uint16_t port = kept_port(manager, std::is_same_v<A, SharedApp> ? 2 : 1);
        first.signal(signal);
        first.wait();
        first.rest(); // the workers have ended, too
        const detail::UniqueFd waiting = connected(port);
        REQUIRE(waiting);
        Helper second(service<A>(manager, kept_options(), host));
        manager.next("READY=1");
        CHECK(is_served(waiting));
        CHECK(is_served(connected(port)));
        second.signal(SIGTERM);
        CHECK(second.wait() == ExitStatus::exited(0));
    }
}

TEST_CASE("nothing is kept for who does not want that, and what was kept before is not kept any more") {
    ServiceManager manager;
    {
        Helper helper(service<App>(manager, kept_options(false), host));
        manager.next("STATUS=2 of 2 workers are ready");
        helper.signal(SIGTERM);
        helper.wait();
        manager.all_within(0ms);
        CHECK(manager.store().empty());
    }
    Helper keeping(service<App>(manager, kept_options(), host));
    kept_port(manager);
    keeping.signal(SIGTERM);
    keeping.wait();
    Helper helper(service<App>(manager, kept_options(false), host));
    manager.next("FDSTOREREMOVE=1");
    CHECK(manager.store().empty());
    helper.signal(SIGTERM);
    CHECK(helper.wait() == ExitStatus::exited(0));
}

/// On an address that host() does not have.
Task<> host_elsewhere(App::Worker& self) {
    auto listener = co_await self.listen(Endpoint::tcp("127.0.0.87", 0));
    co_await keep_all(self, listener);
}

TEST_CASE("a kept listener that nobody asks for any more is closed, and not kept") {
    ServiceManager manager;
    std::uint16_t port = 0;
    {
        Helper first(service<App>(manager, kept_options(), host));
        port = kept_port(manager);
        first.signal(SIGKILL);
        first.wait();
        first.rest();
    }
    Options options = kept_options();
    options.boot_timeout = 3s; // how long it is there for whoever asks
    Helper second(service<App>(manager, options, host_elsewhere));
    kept_port(manager, 2);
    CHECK(connected(port)); // nobody has asked for it yet
    manager.next("FDSTOREREMOVE=1");
    CHECK(manager.store().size() == 1);
    CHECK_FALSE(connected(port));
    second.signal(SIGTERM);
    CHECK(second.wait() == ExitStatus::exited(0));
}

TEST_CASE("a Unix socket whose file has gone is opened anew") {
    const Folder folder;
    Options options = kept_options();
    options.listen = {Endpoint::unix_path(folder / "socket")};
    ServiceManager manager;
    for (int start = 0; start != 2; ++start) {
        Helper helper(service<App>(manager, options, host));
        manager.next("READY=1");
        CHECK(std::filesystem::is_socket(folder / "socket"));
        helper.signal(SIGTERM);
        CHECK(helper.wait() == ExitStatus::exited(0));
        CHECK_FALSE(std::filesystem::exists(folder / "socket"));
    }
}

} // namespace
