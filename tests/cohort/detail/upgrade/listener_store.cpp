// SPDX-License-Identifier: MIT
// Listening sockets that outlive a master, kept by a service manager whose part the test plays.
#include <cohort/detail/upgrade/listener_store.hpp>

#include <cohort/run.hpp>

#include "support/client.hpp"
#include "support/cluster.hpp"
#include "support/folder.hpp"
#include "support/free_port.hpp"
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
        Endpoint{8080},          Endpoint::tcp("127.0.0.1", 8080), Endpoint::tcp("0.0.0.0", 65'535),
        Endpoint::tcp("::1", 0), Endpoint{"[::]:80 v6only"},       Endpoint{"[fe80::1%lo]:8080"},
    };
    for (const Endpoint& endpoint : endpoints) {
        for (const unsigned slot : {0U, 7U, 4'294'967'295U}) {
            CAPTURE(endpoint.to_string());
            const std::string name = stored_name(endpoint, slot);
            CHECK(name.find_first_of(":\n") == std::string::npos); // sd_notify(3) takes them for something else
            CHECK(name.size() <= 255);
            const auto parsed = parse_stored_name(name);
            REQUIRE(parsed.has_value());
            CHECK(parsed->first == endpoint);
            CHECK(parsed->second == slot);
        }
    }
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
        "cohort--1-127.0.0.1;1",
        "cohort-3-zz",
        "cohort-3-example.org;80",
        "cohort-3-127.0.0.1;80800",
        "cohort-3-127.0.0.1",
        good + " ",
        "x" + good,
        "cohort-4294967296-127.0.0.1;8080",
    };
    for (const std::string& name : bad) {
        CAPTURE(name);
        CHECK_FALSE(parse_stored_name(name).has_value());
    }
}

Options kept_options(Endpoint endpoint = any_port(), bool fd_store = true) {
    Options options = permanent_options();
    options.workers = 2;
    options.listen = {std::move(endpoint)};
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

TEST_CASE_TEMPLATE("a listening socket outlives a master that is killed, and one that is stopped", A, App, SharedApp) {
    for (const int signal : {SIGKILL, SIGTERM}) {
        CAPTURE(signal);
        ServiceManager manager;
        Helper first(service<A>(manager, kept_options(), host));
        const auto port = Endpoint::tcp("127.0.0.1", kept_port(manager, std::is_same_v<A, SharedApp> ? 2 : 1));
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

/// Listens where it is told to in its arguments.
Task<> host_there(WorkerBase& self) {
    auto listener = co_await self.listen(Endpoint(self.args().at(0)));
    co_await keep_all(self, listener);
}

Options options_for(const std::string& endpoint, bool fd_store = true) {
    Options options = kept_options(Endpoint(endpoint), fd_store);
    options.worker.args = {endpoint};
    return options;
}

TEST_CASE("a service that starts with other options is not in its own way, and leaves nobody waiting") {
    using Start = int (*)(const Options& options);
    const Start round_robin = [](const Options& options) { return run<App>(options, host_there); };
    const Start shared_socket = [](const Options& options) { return run<SharedApp>(options, host_there); };
    struct Row {
        const char* name;
        Start before;
        Start after;
        bool is_other_endpoint;
        bool is_kept_after;
    };
    const Row rows[] = {
        {"the same", round_robin, round_robin, false, true},
        {"another address of the same port", round_robin, round_robin, true, true},
        {"the same with slots", shared_socket, shared_socket, false, true},
        {"another address with slots", shared_socket, shared_socket, true, true},
        {"one listener, then slots", round_robin, shared_socket, false, true},
        {"slots, then one listener", shared_socket, round_robin, false, true},
        {"slots, then one listener elsewhere", shared_socket, round_robin, true, true},
        {"not to be kept any more", round_robin, round_robin, false, false},
        {"not to be kept any more, with slots", shared_socket, shared_socket, false, false},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        ServiceManager manager;
        const std::string port = std::to_string(free_port());
        const auto start = [&manager](Start begin, Options options) {
            return [&manager, begin, options] {
                manager.adopt();
                manager.pass_store();
                return begin(options);
            };
        };
        {
            Helper first(start(row.before, options_for("127.0.0.1:" + port)));
            manager.next("STATUS=2 of 2 workers are ready");
            kept_port(manager, row.before == shared_socket ? 2 : 1);
            first.signal(SIGKILL);
            first.wait();
            first.rest();
        }
        const std::string endpoint = (row.is_other_endpoint ? "0.0.0.0:" : "127.0.0.1:") + port;
        Helper second(start(row.after, options_for(endpoint, row.is_kept_after)));
        manager.next("READY=1");
        for (int i = 0; i != 20; ++i) CHECK(is_served(connected("127.0.0.1:" + port)));
        const std::size_t kept = !row.is_kept_after ? 0 : row.after == shared_socket ? 2 : 1;
        while (manager.store().size() != kept) manager.next("FDNAME=");
        second.signal(SIGTERM);
        CHECK(second.wait() == ExitStatus::exited(0));
    }
}

TEST_CASE("Unix sockets, and what workers ask for beside the options, are not kept") {
    const Folder folder;
    Options options = kept_options(Endpoint::unix_path(folder / "socket"));
    ServiceManager manager;
    for (int start = 0; start != 2; ++start) {
        Helper helper(service<App>(manager, options, host));
        manager.next("STATUS=2 of 2 workers are ready");
        helper.signal(SIGTERM);
        CHECK(helper.wait() == ExitStatus::exited(0));
        manager.all_within(0ms);
        CHECK(manager.store().empty());
    }
}

} // namespace
