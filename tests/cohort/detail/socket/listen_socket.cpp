// SPDX-License-Identifier: MIT
#include <cohort/detail/socket/listen_socket.hpp>

#include <cohort/detail/socket/socket_file.hpp>
#include <cohort/detail/system/system.hpp>
#include <cohort/detail/system/unique_fd.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>
#include <support/folder.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>

using cohort::Endpoint;
using namespace cohort::detail;

namespace {

namespace fs = std::filesystem;
using test::Folder;

UniqueFd listen_on(const Endpoint& endpoint, bool reuse_port = false) {
    std::error_code error;
    auto socket = open_listener(endpoint, reuse_port, 16, error);
    CAPTURE(endpoint.to_string());
    CHECK_MESSAGE(!error, error.message());
    CHECK(socket);
    return socket;
}

std::error_code error_of_opening(const Endpoint& endpoint, bool reuse_port = false) {
    std::error_code error;
    CHECK_FALSE(open_listener(endpoint, reuse_port, 16, error));
    return error;
}

/// 0, or why a client cannot connect.
int connect_to(const Endpoint& endpoint) {
    std::error_code error;
    const auto address = to_socket_address(endpoint, error);
    REQUIRE_FALSE(error);
    const UniqueFd client(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(client.get(), address.get(), address.size) == 0 ? 0 : errno;
}

bool has_ipv6() {
    const UniqueFd socket(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    return socket && ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

} // namespace

TEST_CASE("port 0 is a free port that the socket knows") {
    const auto a = listen_on("127.0.0.1:0");
    const auto b = listen_on("127.0.0.1:0");
    const auto endpoint = local_endpoint(a.get());
    CHECK(endpoint.host() == "127.0.0.1");
    CHECK(endpoint.port() != 0);
    CHECK(endpoint != local_endpoint(b.get()));
    CHECK(connect_to(endpoint) == 0);
    CHECK((::fcntl(a.get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(a.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("an address in use is an error, unless both sides share the port") {
    const auto alone = listen_on("127.0.0.1:0");
    CHECK(error_of_opening(local_endpoint(alone.get())) == std::errc::address_in_use);
    CHECK(error_of_opening(local_endpoint(alone.get()), true) == std::errc::address_in_use);

    const auto first = listen_on("127.0.0.1:0", true);
    const auto second = listen_on(local_endpoint(first.get()), true);
    CHECK(local_endpoint(second.get()) == local_endpoint(first.get()));
    CHECK(error_of_opening(local_endpoint(first.get())) == std::errc::address_in_use);
}

TEST_CASE("a port is free again at once when its listener is closed") {
    auto socket = listen_on("127.0.0.1:0");
    const auto endpoint = local_endpoint(socket.get());
    REQUIRE(connect_to(endpoint) == 0);
    UniqueFd connection(System::current().accept(socket.get()));
    REQUIRE(connection);
    connection.reset(); // leaves a connection in TIME_WAIT
    socket.reset();
    const auto again = listen_on(endpoint);
    CHECK(connect_to(endpoint) == 0);
}

TEST_CASE("without a host every address is served, IPv6 as well as IPv4") {
    const auto socket = listen_on(0);
    const auto port = local_endpoint(socket.get()).port();
    CHECK(connect_to(Endpoint::tcp("127.0.0.1", port)) == 0);
    if (has_ipv6()) CHECK(connect_to(Endpoint::tcp("::1", port)) == 0);
}

TEST_CASE("IPv4 is served also where the system keeps IPv6 sockets to themselves") {
    constexpr int not_possible_here = 77;
    const int code = test::in_child([] {
        if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return not_possible_here;
        if (!(std::ofstream("/proc/sys/net/ipv6/bindv6only") << 1 << std::flush)) return not_possible_here;
        std::error_code error;
        const auto socket = open_listener(0, false, 16, error);
        if (error || local_endpoint(socket.get()).host() != "::") return not_possible_here;
        int only = 1;
        socklen_t size = sizeof only;
        return ::getsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, &size) == 0 && only == 0 ? 0 : 1;
    });
    CHECK((code == 0 || code == not_possible_here));
    if (code == not_possible_here) MESSAGE("skipped: no network of its own for the test");
}

/// At a port that nobody else has in the other family, of which the kernel takes no notice when it chooses one.
UniqueFd listen_on_port_free_in_both(const Endpoint& endpoint) {
    const bool is_v6 = endpoint.host() == "::";
    std::vector<UniqueFd> others;
    for (int attempt = 0; attempt != 50; ++attempt) {
        auto socket = listen_on(endpoint);
        const auto port = local_endpoint(socket.get()).port();
        std::error_code error;
        if (open_listener(is_v6 ? Endpoint::tcp("0.0.0.0", port) : Endpoint::tcp("::", port).only_v6(), false, 16,
                          error))
            return socket;
        others.push_back(std::move(socket));
    }
    FAIL("no port is free in both families");
    return {};
}

TEST_CASE("IPv6 alone leaves the port of IPv4 to others, in either order") {
    if (!has_ipv6()) return;
    for (const bool v6_first : {true, false}) {
        CAPTURE(v6_first);
        const auto first = listen_on_port_free_in_both(v6_first ? "[::]:0 v6only" : "0.0.0.0:0");
        const auto port = local_endpoint(first.get()).port();
        const auto v6 = Endpoint::tcp("::", port).only_v6();
        CHECK(connect_to(Endpoint::tcp(v6_first ? "127.0.0.1" : "::1", port)) == ECONNREFUSED);
        const auto second = listen_on(v6_first ? Endpoint::tcp("0.0.0.0", port) : v6);
        CHECK(local_endpoint(v6_first ? first.get() : second.get()) == v6);
        CHECK(connect_to(Endpoint::tcp("127.0.0.1", port)) == 0);
        CHECK(connect_to(Endpoint::tcp("::1", port)) == 0);
        CHECK(error_of_opening(Endpoint::tcp("::", port)) == std::errc::address_in_use);
    }
}

TEST_CASE("one address serves only its family") {
    const auto v4 = listen_on("127.0.0.1:0");
    CHECK(connect_to(Endpoint::tcp("127.0.0.2", local_endpoint(v4.get()).port())) == ECONNREFUSED);
    if (!has_ipv6()) return;
    CHECK(connect_to(Endpoint::tcp("::1", local_endpoint(v4.get()).port())) == ECONNREFUSED);
    const auto v6 = listen_on("[::1]:0");
    CHECK(local_endpoint(v6.get()).host() == "::1");
    CHECK(connect_to(local_endpoint(v6.get())) == 0);
    CHECK(connect_to(Endpoint::tcp("127.0.0.1", local_endpoint(v6.get()).port())) == ECONNREFUSED);
}

TEST_CASE("an address that is not ours is an error") {
    CHECK(error_of_opening("192.0.2.1:0") == std::errc::address_not_available);
}

TEST_CASE("connections are without delay from the start") {
    const auto socket = listen_on("127.0.0.1:0");
    REQUIRE(connect_to(local_endpoint(socket.get())) == 0);
    const UniqueFd connection(System::current().accept(socket.get()));
    REQUIRE(connection);
    int no_delay = 0;
    socklen_t size = sizeof no_delay;
    REQUIRE(::getsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size) == 0);
    CHECK(no_delay != 0);
    CHECK((::fcntl(connection.get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(connection.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a Unix socket's file has the permission bits that were asked for, whatever the umask") {
    const Folder folder;
    for (const unsigned mode : {0600U, 0660U, 0777U, 0U}) {
        CAPTURE(mode);
        const mode_t previous = ::umask(0027);
        const auto endpoint = Endpoint::unix_path(folder.path / ("socket" + std::to_string(mode)), mode);
        const auto socket = listen_on(endpoint);
        CHECK(::umask(previous) == 0027);
        CHECK(local_endpoint(socket.get()).path() == endpoint.path());
        struct stat status {};
        REQUIRE(::stat(endpoint.path().c_str(), &status) == 0);
        CHECK((status.st_mode & 07777U) == mode);
        if (mode == 0600) CHECK(connect_to(endpoint) == 0);
        SocketFile(endpoint).remove();
        CHECK_FALSE(fs::exists(endpoint.path()));
    }
}

TEST_CASE("a socket file that nobody serves is replaced, one that is served is not") {
    const Folder folder;
    const auto endpoint = Endpoint::unix_path(folder.path / "socket");
    auto live = listen_on(endpoint);
    CHECK(error_of_opening(endpoint) == std::errc::address_in_use);
    CHECK(connect_to(endpoint) == 0);

    live.reset();
    REQUIRE(fs::exists(endpoint.path()));
    const auto successor = listen_on(endpoint);
    CHECK(connect_to(endpoint) == 0);
}

TEST_CASE("a live socket whose queue is full is still live") {
    const Folder folder;
    const auto endpoint = Endpoint::unix_path(folder.path / "socket");
    std::error_code error;
    const auto live = open_listener(endpoint, false, 0, error);
    REQUIRE(live);
    const auto address = to_socket_address(endpoint, error);
    std::vector<UniqueFd> clients;
    for (;;) {
        auto& client = clients.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (::connect(client.get(), address.get(), address.size) != 0) break;
    }
    REQUIRE(would_block(errno));
    CHECK(error_of_opening(endpoint) == std::errc::address_in_use);
    CHECK(fs::exists(endpoint.path()));
}

TEST_CASE("a file that is no socket is never removed") {
    const Folder folder;
    const auto path = folder.path / "precious";
    std::ofstream(path) << "data";
    CHECK(error_of_opening(Endpoint::unix_path(path)) == std::errc::address_in_use);
    CHECK(fs::file_size(path) == 4);

    fs::create_symlink(path, folder.path / "link");
    CHECK(error_of_opening(Endpoint::unix_path(folder.path / "link")) == std::errc::address_in_use);
    CHECK(fs::file_size(path) == 4);
}

TEST_CASE("a path longer than a socket address is served and reached, by absolute and by relative name") {
    const Folder folder;
    const fs::path deep = folder.path / std::string(150, 'd') / std::string(150, 'e');
    fs::create_directories(deep);
    const auto endpoint = Endpoint::unix_path((deep / "socket").string(), 0777);
    auto live = listen_on(endpoint);
    CHECK(connect_to(endpoint) == 0);
    CHECK(error_of_opening(endpoint) == std::errc::address_in_use);
    CHECK(bound_endpoint(live.get(), endpoint) == endpoint);
    struct stat status {};
    REQUIRE(::stat(endpoint.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 07777U) == 0777U);
    live.reset();
    const auto successor = listen_on(endpoint);
    CHECK(connect_to(Endpoint::unix_path(fs::relative(endpoint.path()).string())) == 0);
    SocketFile(endpoint).remove();
    CHECK(fs::is_empty(deep));
    CHECK(error_of_opening(Endpoint::unix_path((deep / std::string(108, 'x')).string())) ==
          std::errc::filename_too_long);
    CHECK(error_of_opening(Endpoint::unix_path((deep / "missing" / "socket").string())) ==
          std::errc::no_such_file_or_directory);
}

TEST_CASE("a path that cannot be is an error") {
    CHECK(error_of_opening(Endpoint::unix_path(std::string(sizeof(sockaddr_un::sun_path), 'x'))) ==
          std::errc::filename_too_long);
    CHECK(error_of_opening(Endpoint::unix_path("/no/such/folder/socket")) == std::errc::no_such_file_or_directory);
    const Folder folder;
    const auto longest = folder.path.string() + "/";
    const auto fits =
        Endpoint::unix_path(longest + std::string(sizeof(sockaddr_un::sun_path) - 1 - longest.size(), 'x'));
    const auto socket = listen_on(fits);
    CHECK(local_endpoint(socket.get()).path() == fits.path());
    CHECK(connect_to(fits) == 0);
}
