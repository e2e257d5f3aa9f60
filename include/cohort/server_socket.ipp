// SPDX-License-Identifier: MIT
// The bodies of server_socket.hpp (layer 3).
#pragma once

#include <cohort/server_socket.hpp>

#include <cohort/detail/async/expiry.hpp>
#include <cohort/detail/async/own_listener.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/log_line.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/handle.hpp>

#include <asio/steady_timer.hpp>

#include <chrono>
#include <string>
#include <system_error>
#include <utility>

namespace cohort {

COHORT_DECL ServerSocket::ServerSocket(const asio::any_io_executor& executor, const Endpoint& endpoint)
    : listener_(detail::share<detail::OwnListener>(executor, endpoint, detail::UniqueFd())) {}

COHORT_DECL ServerSocket& ServerSocket::operator=(ServerSocket&& other) noexcept {
    if (listener_ != other.listener_) close();
    listener_ = std::move(other.listener_);
    return *this;
}

COHORT_DECL Task<ServerSocket> ServerSocket::listen(asio::any_io_executor executor, Endpoint endpoint) {
    constexpr std::chrono::milliseconds interval{100};
    asio::steady_timer pause(executor);
    for (bool told = false;; told = true) {
        try {
            co_return ServerSocket(executor, endpoint);
        } catch (const std::system_error& error) {
            if (error.code() != std::errc::address_in_use) throw;
            if (!told) detail::log_line(LogLevel::warning, std::string(error.what()) + "; trying again");
        }
        pause.expires_after(interval);
        co_await detail::until_expired(pause);
    }
}

COHORT_DECL Task<std::optional<Socket>> ServerSocket::accept(std::shared_ptr<detail::OwnListener> listener) {
    for (;;) {
        detail::UniqueFd connection = co_await detail::OwnListener::accept(listener);
        if (!connection) co_return std::nullopt;
        try {
            co_return to_socket(listener->executor(), Handle(std::move(connection)));
        } catch (const std::system_error& error) { // there is no room for one more in the epoll set (epoll_ctl(2))
            detail::log_line(LogLevel::error, std::string("accept: ") + error.what());
        }
    }
}

COHORT_DECL void ServerSocket::close() noexcept {
    if (listener_) listener_->close();
}

COHORT_DECL bool ServerSocket::stopping() const noexcept { return !listener_->is_open(); }

COHORT_DECL const Endpoint& ServerSocket::endpoint() const noexcept { return listener_->endpoint(); }

} // namespace cohort
