// SPDX-License-Identifier: MIT
// The bodies of channel_acceptor.hpp (layer 3).
#pragma once

#include <cohort/channel_acceptor.hpp>

#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/async/turn_budget.hpp>
#include <cohort/detail/config.hpp>
#include <cohort/detail/share.hpp>
#include <cohort/detail/socket/listen_socket.hpp>
#include <cohort/detail/socket/socket_file.hpp>
#include <cohort/detail/system/system.hpp>

#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
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

/// A listening Unix socket and its file.
class NamedListener {
public:
    NamedListener(const asio::any_io_executor& executor, const Endpoint& endpoint, UniqueFd inherited)
        : endpoint_(endpoint),
          is_lent_(inherited),
          socket_(executor, inherited ? std::move(inherited) : open(endpoint)) {
        if (!is_lent_) file_ = SocketFile(endpoint);
    }
    NamedListener(const NamedListener&) = delete;
    NamedListener& operator=(const NamedListener&) = delete;
    ~NamedListener() { close(); }

    /// The next connection; an empty one after close(). It cannot be cancelled between accepting and the return of the
    /// caller, provided the caller does not suspend either.
    static Task<UniqueFd> accept(std::shared_ptr<NamedListener> self);
    void close() noexcept;
    void take_over() {
        if (std::exchange(is_lent_, false)) file_ = SocketFile(endpoint_);
    }
    void leave_to_others() noexcept {
        file_.release();
        close();
    }

    int descriptor() const noexcept { return socket_.get(); }
    const Endpoint& endpoint() const noexcept { return endpoint_; }
    asio::any_io_executor executor() noexcept { return socket_.get_executor(); }

private:
    static constexpr int backlog = 4096;

    static UniqueFd null_device() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

    static UniqueFd open(const Endpoint& endpoint);
    /// Whether it is a temporary shortage of descriptors or memory.
    static bool will_pass(int error) noexcept {
        return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
    }

    /// The connection, or the system's error as errno says it. When descriptors run short, the one kept for that is
    /// given for it.
    UniqueFd try_to_accept();

    Endpoint endpoint_;
    bool is_lent_;
    AsyncFd socket_;
    TurnBudget turn_;
    SocketFile file_;
    UniqueFd spare_ = null_device();
};

COHORT_DECL UniqueFd NamedListener::open(const Endpoint& endpoint) {
    const std::string what = "listen on " + endpoint.to_string();
    if (!endpoint.is_unix()) throw std::system_error(Errc::bad_endpoint, what);
    std::error_code error;
    UniqueFd socket = open_listener(endpoint, false, backlog, error);
    if (error) throw std::system_error(error, what);
    return socket;
}

COHORT_DECL void NamedListener::close() noexcept {
    if (!socket_.is_open()) return;
    file_.remove();
    socket_.close();
}

COHORT_DECL UniqueFd NamedListener::try_to_accept() {
    if (!spare_) spare_ = null_device();
    UniqueFd connection(System::current().accept(socket_.get()));
    if (connection || errno != EMFILE || !spare_) return connection;
    spare_.reset();
    return UniqueFd(System::current().accept(socket_.get()));
}

COHORT_DECL Task<UniqueFd> NamedListener::accept(std::shared_ptr<NamedListener> self) {
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
            co_await rest.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        } else if (!concerns_one_connection(error)) {
            throw std::system_error(error, std::system_category(), "accept");
        }
    }
}

COHORT_DECL std::shared_ptr<NamedListener> listen_on_path(const asio::any_io_executor& executor,
                                                          const Endpoint& endpoint, UniqueFd inherited) {
    return detail::share<NamedListener>(executor, endpoint, std::move(inherited));
}

COHORT_DECL Task<UniqueFd> accept_from(std::shared_ptr<NamedListener> listener) {
    return NamedListener::accept(std::move(listener));
}

COHORT_DECL void close(NamedListener& listener) noexcept { listener.close(); }

COHORT_DECL void take_over(NamedListener& listener) { listener.take_over(); }

COHORT_DECL void leave_to_others(NamedListener& listener) noexcept { listener.leave_to_others(); }

COHORT_DECL int descriptor_of(const NamedListener& listener) noexcept { return listener.descriptor(); }

COHORT_DECL const Endpoint& endpoint_of(const NamedListener& listener) noexcept { return listener.endpoint(); }

COHORT_DECL asio::any_io_executor executor_of(NamedListener& listener) noexcept { return listener.executor(); }

} // namespace cohort::detail
