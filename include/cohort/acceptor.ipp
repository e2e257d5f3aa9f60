// SPDX-License-Identifier: MIT
// The bodies of acceptor.hpp (layer 3).
#pragma once

#include <cohort/acceptor.hpp>

#include <cohort/detail/config.hpp>
#include <cohort/detail/system/system.hpp>
#include <cohort/handle.hpp>

namespace cohort {

COHORT_DECL detail::UniqueFd Socket::take() {
    detail::UniqueFd connection(Base::release());
    counted_ = {};
    return connection;
}

COHORT_DECL Socket to_socket(const asio::any_io_executor& executor, Handle handle) {
    const auto option = [&](int name) {
        int value = 0;
        socklen_t size = sizeof value;
        if (::getsockopt(handle.get(), SOL_SOCKET, name, &value, &size) != 0) detail::throw_last_error("getsockopt");
        return value;
    };
    if (option(SO_TYPE) != SOCK_STREAM) throw std::system_error(EPROTOTYPE, std::system_category(), "to_socket");
    Socket socket(executor);
    socket.assign(asio::generic::stream_protocol(option(SO_DOMAIN), option(SO_PROTOCOL)), handle.get());
    [[maybe_unused]] const int released = handle.release();
    return socket;
}

} // namespace cohort
