// SPDX-License-Identifier: MIT
// Endpoint: where to listen, as a person writes it (layer 1).
#pragma once

#include <cohort/error.hpp>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace cohort {

/// A TCP address with port, the path of a Unix socket, or a socket that the program was started with.
///
///     Endpoint{8080}                       every address, IPv6 and IPv4
///     Endpoint{"127.0.0.1:0"}              a free port, the same for all workers
///     Endpoint{"[::1]:8080"}  Endpoint{"localhost:8080"}
///     Endpoint{"[fe80::1%eth0]:8080"}      a link-local address and its zone (RFC 4007 section 11)
///     Endpoint{"[::]:8080 v6only"}         Endpoint::tcp("::", 8080).only_v6(): IPv4 stays free
///     Endpoint{"unix:/run/app.sock"}       Endpoint::unix_path("/run/app.sock", 0660)
///     Endpoint{"fd:3"}                     Endpoint::inherited(3): the master's descriptor 3
///     Endpoint{"activated:web"}            Endpoint::activated("web"): from systemd, by name or, "0", by position
///
/// Hosts are numeric, `localhost` or `*`: no name is looked up. A text that is none of these throws std::system_error
/// with Errc::bad_endpoint.
class Endpoint {
public:
    Endpoint() = default;
    template <std::integral Port>
    Endpoint(Port port) : port_(checked(port)) {}
    Endpoint(const char* text) : Endpoint(std::string_view(text)) {}
    Endpoint(const std::string& text) : Endpoint(std::string_view(text)) {}
    explicit Endpoint(std::string_view text);

    /// `host`: an address, `localhost`, or `*` or nothing for every address.
    static Endpoint tcp(std::string host, std::uint16_t port);
    /// `mode`: the permission bits the socket file gets.
    static Endpoint unix_path(std::string path, unsigned mode = 0600);

    /// A socket that the master has open under this number, whichever process uses the endpoint. The program keeps it:
    /// it is duplicated, and its file is never removed.
    static Endpoint inherited(int descriptor);
    /// A socket passed by socket activation: sd_listen_fds(3). `name`: as in FileDescriptorName=, or the position.
    static Endpoint activated(std::string name);
    /// The same without IPv4 (IPV6_V6ONLY, ipv6(7)). Errc::bad_endpoint: the host is IPv4, or it is not TCP.
    Endpoint only_v6() const;

    bool is_tcp() const noexcept { return !is_unix() && !is_inherited() && !is_activated(); }
    bool is_unix() const noexcept { return !path_.empty(); }
    bool is_inherited() const noexcept { return descriptor_ >= 0; }
    bool is_activated() const noexcept { return !activation_name_.empty(); }
    /// Numeric, of a link-local address with its zone: "fe80::1%eth0"; empty means every address.
    const std::string& host() const noexcept { return host_; }
    std::uint16_t port() const noexcept { return port_; }
    bool v6_only() const noexcept { return v6_only_; }
    const std::string& path() const noexcept { return path_; }
    unsigned mode() const noexcept { return mode_; }
    int descriptor() const noexcept { return descriptor_; }
    const std::string& activation_name() const noexcept { return activation_name_; }

    /// As it can be parsed again: "127.0.0.1:8080", "*:8080", "[::]:80 v6only", "unix:/run/app.sock", "fd:3". Only
    /// control characters of a path are not: they are shown as \xNN.
    std::string to_string() const;

    friend bool operator==(const Endpoint&, const Endpoint&) = default;

    static void serialize(auto& archive, auto& self) {
        archive(self.host_, self.port_, self.path_, self.mode_, self.v6_only_, self.descriptor_, self.activation_name_);
    }

private:
    static constexpr std::string_view unix_prefix = "unix:";
    static constexpr std::string_view inherited_prefix = "fd:";
    static constexpr std::string_view activated_prefix = "activated:";
    static constexpr std::string_view v6_only_suffix = " v6only";

    static bool is_address(const std::string& host);
    static bool is_zone(std::string_view zone) noexcept;
    static bool is_activation_name(const std::string& name) noexcept;
    static Endpoint parse_tcp(std::string_view text);
    static Endpoint parse_inherited(std::string_view digits);
    static std::uint16_t checked(auto port) {
        if (port < 0 || static_cast<std::uint64_t>(port) > 65535) fail(std::to_string(port));
        return static_cast<std::uint16_t>(port);
    }
    [[noreturn]] static void fail(std::string_view text);

    std::string host_;
    std::string path_;
    std::string activation_name_;
    int descriptor_ = -1;
    std::uint16_t port_ = 0;
    unsigned mode_ = 0;
    bool v6_only_ = false;
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/endpoint.ipp>
#endif
