// SPDX-License-Identifier: MIT
// Addresses with a zone: which interface a link-local address is of, on the way to the kernel and back.
#include <cohort/detail/socket/socket_address.hpp>

#include <cohort/detail/socket/listen_socket.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <system_error>

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

using namespace cohort;

namespace {

/// A link-local address of this machine with its zone, from proc(5)'s list: 32 digits, then the interface.
std::string link_local_host() {
    std::ifstream list("/proc/net/if_inet6");
    std::string digits, number, prefix, scope, flags, interface;
    while (list >> digits >> number >> prefix >> scope >> flags >> interface) {
        if (!digits.starts_with("fe80")) continue;
        std::string host;
        for (std::size_t i = 0; i != digits.size(); i += 4) host.append(i == 0 ? "" : ":").append(digits, i, 4);
        return host + "%" + interface;
    }
    return {};
}

std::error_code error_of(const Endpoint& endpoint) {
    std::error_code error;
    detail::to_socket_address(endpoint, error);
    return error;
}

} // namespace

TEST_CASE("a zone is an interface's name or number, and comes back as its name") {
    for (const char* const zone : {"lo", "1"}) {
        CAPTURE(std::string(zone));
        std::error_code error;
        const Endpoint endpoint = Endpoint::tcp("fe80::1%" + std::string(zone), 80);
        const auto address = detail::to_socket_address(endpoint, error);
        REQUIRE_FALSE(error);
        CHECK(reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_scope_id == ::if_nametoindex("lo"));
        CHECK(detail::to_endpoint(address) == Endpoint{"[fe80::1%lo]:80"});
    }
    CHECK(error_of("[fe80::1%nowhere]:80") == std::error_code(ENODEV, std::system_category()));
    CHECK(error_of("[fe80::1%0]:80") == std::error_code(ENODEV, std::system_category()));
    CHECK(error_of("[fe80::1%1x]:80") == std::error_code(ENODEV, std::system_category()));
}

TEST_CASE("a link-local address can be listened on, and its clients are shown with the zone") {
    const std::string host = link_local_host();
    if (host.empty()) {
        MESSAGE("this machine has no link-local address");
        return;
    }
    std::error_code error;
    const detail::UniqueFd listener = detail::open_listener(Endpoint::tcp(host, 0), false, 16, error);
    REQUIRE_FALSE(error);
    const Endpoint bound = detail::local_endpoint(listener.get());
    const std::string zone = host.substr(host.find('%'));
    CHECK(bound.host().ends_with(zone));
    const auto address = detail::to_socket_address(bound, error);
    const detail::UniqueFd client(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(client.get(), address.get(), address.size) == 0);
    CHECK(detail::local_endpoint(client.get()).host() == bound.host());
}
