// SPDX-License-Identifier: MIT
// The bodies of channel_acceptor.hpp (layer 3).
#pragma once

#include <cohort/channel_acceptor.hpp>

#include <cohort/detail/async/own_listener.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/system/system.hpp>
#include <cohort/error.hpp>

#include <cerrno>
#include <system_error>
#include <utility>

#include <sys/socket.h>

namespace cohort {

COHORT_DECL PeerCredentials peer_credentials(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) detail::throw_last_error("SO_PEERCRED");
    // What the kernel answers for a socket that has no peer, or is no Unix socket.
    if (peer.uid == static_cast<uid_t>(-1)) throw std::system_error(ENOTCONN, std::system_category(), "SO_PEERCRED");
    return {peer.pid, peer.uid, peer.gid};
}

} // namespace cohort

namespace cohort::detail {

COHORT_DECL std::shared_ptr<OwnListener> listen_on_path(const asio::any_io_executor& executor, const Endpoint& endpoint,
                                                        UniqueFd inherited) {
    if (!endpoint.is_unix()) throw std::system_error(Errc::bad_endpoint, "listen on " + endpoint.to_string());
    return share<OwnListener>(executor, endpoint, std::move(inherited));
}

COHORT_DECL Task<UniqueFd> accept_from(std::shared_ptr<OwnListener> listener) {
    return OwnListener::accept(std::move(listener));
}

COHORT_DECL void close(OwnListener& listener) noexcept { listener.close(); }

COHORT_DECL void take_over(OwnListener& listener) { listener.take_over(); }

COHORT_DECL void leave_to_others(OwnListener& listener) noexcept { listener.leave_to_others(); }

COHORT_DECL int descriptor_of(const OwnListener& listener) noexcept { return listener.descriptor(); }

COHORT_DECL const Endpoint& endpoint_of(const OwnListener& listener) noexcept { return listener.endpoint(); }

COHORT_DECL asio::any_io_executor executor_of(OwnListener& listener) noexcept { return listener.executor(); }

} // namespace cohort::detail
