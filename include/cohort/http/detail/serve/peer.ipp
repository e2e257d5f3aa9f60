// SPDX-License-Identifier: MIT
// The bodies of peer.hpp (layer 3).
#pragma once

#include <cohort/http/detail/serve/peer.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/socket/socket_address.hpp>

#include <charconv>

#include <sys/socket.h>

namespace cohort::http::detail {

COHORT_DECL Peer::Peer(std::string_view state) {
    const auto end = std::from_chars(state.data(), state.data() + state.size(), served_).ptr;
    state.remove_prefix(static_cast<std::size_t>(end - state.data()));
    if (!state.empty()) introduce(std::string{state.substr(1)});
}

COHORT_DECL std::string Peer::address_of(Socket& socket) {
    cohort::detail::SocketAddress address;
    if (::getpeername(socket.native_handle(), address.get(), &address.size) != 0) return {};
    if (address.family() == AF_UNIX) return "unix:";
    constexpr std::string_view mapped = "::ffff:"; // an IPv4 client of a dual-stack listener
    const std::string host = cohort::detail::to_endpoint(address).host();
    return host.starts_with(mapped) && host.find('.') != host.npos ? host.substr(mapped.size()) : host;
}

} // namespace cohort::http::detail
