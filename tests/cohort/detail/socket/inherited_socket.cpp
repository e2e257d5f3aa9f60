// SPDX-License-Identifier: MIT
#include <cohort/detail/socket/inherited_socket.hpp>

#include <cohort/detail/system/unique_fd.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>

#include <cohort/detail/socket/listen_socket.hpp>
#include <cohort/detail/system/fd_passing.hpp>
#include <cohort/endpoint.hpp>

#include <cstddef>
#include <string>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

using cohort::Endpoint;
using cohort::Errc;
using namespace cohort::detail;

namespace {

/// As a service manager makes it: blocking.
UniqueFd foreign_socket(int type = SOCK_STREAM) {
    UniqueFd socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    auto address = any_address(AF_INET, 0);
    reinterpret_cast<sockaddr_in&>(address.storage).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(socket.get(), address.get(), address.size) == 0);
    return socket;
}

std::error_code copy_error(int fd, int type = SOCK_STREAM) {
    std::error_code error;
    CHECK_FALSE(copy_inherited(Endpoint::inherited(fd), type, error));
    return error;
}

} // namespace

TEST_CASE("an inherited socket is copied, made non-blocking, and stays open") {
    const auto original = foreign_socket();
    std::error_code error;
    {
        const auto copy = open_listener(Endpoint::inherited(original.get()), true, 7, error);
        REQUIRE_FALSE(error);
        CHECK(copy.get() != original.get());
        CHECK((::fcntl(copy.get(), F_GETFL) & O_NONBLOCK) != 0);
        CHECK((::fcntl(copy.get(), F_GETFD) & FD_CLOEXEC) != 0);
        CHECK(bound_endpoint(copy.get(), Endpoint::inherited(original.get())) == local_endpoint(original.get()));
        CHECK(is_enabled(copy.get(), IPPROTO_TCP, TCP_NODELAY));
    }
    CHECK(is_enabled(original.get(), SOL_SOCKET, SO_ACCEPTCONN)); // it listens now, and goes on
    const auto again = open_listener(Endpoint::inherited(original.get()), false, 7, error);
    CHECK_FALSE(error);
}

TEST_CASE("what is no stream socket cannot be listened on") {
    const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    CHECK(copy_error(file.get()) == std::errc::not_a_socket);
    CHECK(copy_error(1'000'000) == std::errc::bad_file_descriptor);
    const auto datagrams = foreign_socket(SOCK_DGRAM);
    CHECK(copy_error(datagrams.get()).value() == EPROTOTYPE);
    const auto stream = foreign_socket();
    CHECK(copy_error(stream.get(), SOCK_DGRAM).value() == EPROTOTYPE);
    const UniqueFd netlink(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    CHECK(copy_error(netlink.get(), SOCK_DGRAM) == std::errc::address_family_not_supported);

    const auto [one, other] = make_socketpair(SOCK_STREAM);
    std::error_code error;
    CHECK_FALSE(open_listener(Endpoint::inherited(one.get()), false, 1, error));
    CHECK(error == std::errc::invalid_argument); // it is connected
}

TEST_CASE("a Unix socket without a file, in the abstract namespace, has a name that can be shown") {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = "cohort-" + std::to_string(::getpid());
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
    std::error_code error;
    const auto listener = open_listener(Endpoint::inherited(socket.get()), false, 1, error);
    REQUIRE_FALSE(error);
    CHECK(local_endpoint(listener.get()).path() == "@" + name);
}

TEST_CASE("an activated socket is the one with the name") {
    const int code = test::in_child([] {
        const auto socket = foreign_socket();
        if (::dup2(socket.get(), 4) != 4) return 1;
        ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
        ::setenv("LISTEN_FDS", "2", 1);
        ::setenv("LISTEN_FDNAMES", "a:b", 1);
        std::error_code error;
        const auto listener = open_listener("activated:b", false, 1, error);
        if (error || local_endpoint(listener.get()) != local_endpoint(4)) return 2;
        if (open_listener("activated:c", false, 1, error) || error != Errc::not_activated) return 3;
        return std::getenv("LISTEN_FDS") != nullptr ? 0 : 4;
    });
    CHECK(code == 0);
}
