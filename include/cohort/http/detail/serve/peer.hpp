// SPDX-License-Identifier: MIT
// Who is at the other end of a connection, and what its servers tell each other of it (layer 3).
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/detail/socket/socket_address.hpp>

#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <sys/socket.h>

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
    std::string_view address(Socket& socket) {
        if (address_.empty()) address_ = address_of(socket);
        return address_;
    }

    std::string state(std::size_t served) const {
        if (introduced_) return std::to_string(served) + " " + address_;
        return served == 0 ? std::string() : std::to_string(served);
    }

private:
    static std::string address_of(Socket& socket) {
        cohort::detail::SocketAddress address;
        if (::getpeername(socket.native_handle(), address.get(), &address.size) != 0) return {};
        if (address.family() == AF_UNIX) return "unix:";
        constexpr std::string_view mapped = "::ffff:"; // an IPv4 client of a listener for both
        const std::string host = cohort::detail::to_endpoint(address).host();
        return host.starts_with(mapped) && host.find('.') != host.npos ? host.substr(mapped.size()) : host;
    }

    std::string address_;
    std::size_t served_ = 0;
    bool introduced_ = false;
};

} // namespace cohort::http::detail
