// SPDX-License-Identifier: MIT
// The bodies of socket_address.hpp (layer 2).
#pragma once

#include <cohort/detail/socket/socket_address.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/system.hpp>
#include <cohort/error.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <string_view>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace cohort::detail {

COHORT_DECL SocketAddress any_address(int family, std::uint16_t port) noexcept {
    if (family == AF_INET6) {
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        return SocketAddress::of(v6);
    }
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return SocketAddress::of(v4);
}

COHORT_DECL SocketAddress unix_address(const std::string& path, std::error_code& error) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::string text = path;
    UniqueFd folder;
    if (const auto slash = path.rfind('/'); path.size() >= sizeof address.sun_path && slash != path.npos) {
        folder = UniqueFd(::open(path.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!folder) error = last_error();
        text = "/proc/self/fd/" + std::to_string(folder.get()) + path.substr(slash);
    }
    if (!error && text.size() >= sizeof address.sun_path) error = {ENAMETOOLONG, std::system_category()};
    std::memcpy(address.sun_path, text.data(), std::min(text.size(), sizeof address.sun_path - 1));
    SocketAddress result = SocketAddress::of(address);
    result.folder = std::move(folder);
    return result;
}

/// An interface by its name or by its number.
COHORT_DECL std::uint32_t to_scope_id(const std::string& zone, std::error_code& error) noexcept {
    std::uint32_t id = ::if_nametoindex(zone.c_str());
    if (id != 0) return id;
    const auto [end, fault] = std::from_chars(zone.data(), zone.data() + zone.size(), id);
    if (fault != std::errc{} || end != zone.data() + zone.size() || id == 0) error = {ENODEV, std::system_category()};
    return id;
}

COHORT_DECL SocketAddress to_socket_address(const Endpoint& endpoint, std::error_code& error) {
    if (endpoint.is_unix()) return unix_address(endpoint.path(), error);
    if (endpoint.host().empty()) return any_address(AF_INET6, endpoint.port());
    const std::string_view host = endpoint.host();
    const auto percent = std::min(host.find('%'), host.size());
    sockaddr_in6 v6{};
    if (::inet_pton(AF_INET6, std::string(host.substr(0, percent)).c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(endpoint.port());
        if (percent != host.size()) v6.sin6_scope_id = to_scope_id(std::string(host.substr(percent + 1)), error);
        return SocketAddress::of(v6);
    }
    sockaddr_in v4{};
    if (::inet_pton(AF_INET, endpoint.host().c_str(), &v4.sin_addr) != 1) error = Errc::bad_endpoint;
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port());
    return SocketAddress::of(v4);
}

COHORT_DECL void enable(int socket, int level, int option, bool enabled) noexcept {
    const int value = enabled ? 1 : 0;
    ::setsockopt(socket, level, option, &value, sizeof value);
}

COHORT_DECL bool is_enabled(int socket, int level, int option) noexcept {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(socket, level, option, &value, &size) == 0 && value != 0;
}

COHORT_DECL std::string to_zone(std::uint32_t scope_id) {
    std::array<char, IF_NAMESIZE> name{};
    return ::if_indextoname(scope_id, name.data()) != nullptr ? name.data() : std::to_string(scope_id);
}

COHORT_DECL Endpoint to_endpoint(const SocketAddress& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.family() == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address.storage);
        std::string host = ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
        // The kernel says it of those addresses only that an Endpoint takes a zone for.
        if (v6.sin6_scope_id != 0) host.append("%").append(to_zone(v6.sin6_scope_id));
        return Endpoint::tcp(std::move(host), ntohs(v6.sin6_port));
    }
    if (address.family() == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address.storage);
        return Endpoint::tcp(::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size()), ntohs(v4.sin_port));
    }
    const auto& path = reinterpret_cast<const sockaddr_un&>(address.storage);
    if (address.size <= offsetof(sockaddr_un, sun_path)) return {};
    if (path.sun_path[0] != '\0') return Endpoint::unix_path(path.sun_path);
    std::string name(path.sun_path, address.size - offsetof(sockaddr_un, sun_path));
    std::ranges::replace(name, '\0', '@');
    return Endpoint::unix_path(name);
}

COHORT_DECL Endpoint local_endpoint(int socket) {
    SocketAddress address;
    if (::getsockname(socket, address.get(), &address.size) != 0) throw_last_error("getsockname");
    const Endpoint endpoint = to_endpoint(address);
    const bool only_v6 = address.family() == AF_INET6 && is_enabled(socket, IPPROTO_IPV6, IPV6_V6ONLY);
    return only_v6 ? endpoint.only_v6() : endpoint;
}

COHORT_DECL Endpoint bound_endpoint(int socket, const Endpoint& requested) {
    return requested.is_unix() ? requested : local_endpoint(socket);
}

} // namespace cohort::detail
