// SPDX-License-Identifier: MIT
// Who is at the other end of a connection, and what its servers tell each other of it (layer 3).
#pragma once

#include <cohort/acceptor.hpp>

#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace cohort::http::detail {

/// The state of a connection that is handed over: how many requests it has had, and behind a space the address from
/// its PROXY header, if it had one.
class Peer {
public:
    explicit Peer(std::string_view state) {
        const auto end = std::from_chars(state.data(), state.data() + state.size(), served_).ptr;
        state.remove_prefix(static_cast<std::size_t>(end - state.data()));
        if (!state.empty()) introduce(std::string{state.substr(1)});
    }

    /// How many requests it had when it came.
    std::size_t served() const noexcept { return served_; }

    /// A proxy has said who it is; empty: the connection is the proxy's own.
    void introduce(std::string address) noexcept {
        address_ = std::move(address);
        introduced_ = true;
    }
    bool introduced() const noexcept { return introduced_; }

    /// Asked of the kernel once, when it is wanted.
    std::string_view address(const Socket& socket) {
        if (address_.empty()) address_ = address_of(socket);
        return address_;
    }

    std::string state(std::size_t served) const {
        if (introduced_) return std::to_string(served) + " " + address_;
        return served == 0 ? std::string() : std::to_string(served);
    }

private:
    static std::string address_of(const Socket& socket) {
        std::error_code error;
        const auto endpoint = socket.remote_endpoint(error);
        char text[INET6_ADDRSTRLEN] = "";
        const sockaddr* const address = endpoint.data();
        if (error) return {};
        if (address->sa_family == AF_UNIX) return "unix:";
        if (address->sa_family == AF_INET)
            ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text, sizeof text);
        if (address->sa_family != AF_INET6) return text;
        const in6_addr& v6 = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(&v6)) // an IPv4 client of a listener for both
            ::inet_ntop(AF_INET, v6.s6_addr + 12, text, sizeof text);
        else
            ::inet_ntop(AF_INET6, &v6, text, sizeof text);
        return text;
    }

    std::string address_;
    std::size_t served_ = 0;
    bool introduced_ = false;
};

} // namespace cohort::http::detail
