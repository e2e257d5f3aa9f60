// SPDX-License-Identifier: MIT
// The bodies of own_listener.hpp (layer 3).
#pragma once

#include <cohort/detail/async/own_listener.hpp>

#include <cohort/detail/async/expiry.hpp>
#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/socket/listen_socket.hpp>
#include <cohort/detail/system/system.hpp>

#include <asio/steady_timer.hpp>

#include <string>
#include <system_error>

namespace cohort::detail {

COHORT_DECL UniqueFd OwnListener::open(const Endpoint& endpoint) {
    const std::string what = "listen on " + endpoint.to_string();
    std::error_code error;
    UniqueFd socket = open_listener(endpoint, false, backlog, error);
    if (error) throw std::system_error(error, what);
    return socket;
}

COHORT_DECL void OwnListener::close() noexcept {
    if (!socket_.is_open()) return;
    file_.remove();
    socket_.close();
}

COHORT_DECL UniqueFd OwnListener::try_to_accept() {
    if (!spare_) spare_ = null_device();
    UniqueFd connection(System::current().accept(socket_.get()));
    if (connection || errno != EMFILE || !spare_) return connection;
    spare_.reset();
    return UniqueFd(System::current().accept(socket_.get()));
}

COHORT_DECL Task<UniqueFd> OwnListener::accept(std::shared_ptr<OwnListener> self) {
    const bool steady = co_await switched();
    if (!steady || self->turn_.is_over()) {
        co_await self->turn_.let_others_go_on();
    }
    for (;;) {
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
        if (!self->socket_.is_open()) co_return UniqueFd();
        UniqueFd connection = self->try_to_accept();
        if (connection) co_return connection;
        const int error = errno;
        std::error_code ignored;
        if (would_block(error)) {
            co_await self->socket_.readable(ignored);
            self->turn_.begin();
        } else if (will_pass(error)) {
            asio::steady_timer rest(self->executor(), accept_rest);
            co_await until_expired(rest, ignored);
        } else if (!concerns_one_connection(error)) {
            throw std::system_error(error, std::system_category(), "accept");
        }
    }
}

} // namespace cohort::detail
