// SPDX-License-Identifier: MIT
// OwnListener: a listening socket that no other process of the cluster has (layer 3).
#pragma once

#include <cohort/detail/async/async_fd.hpp>
#include <cohort/detail/async/turn_budget.hpp>
#include <cohort/detail/socket/socket_address.hpp>
#include <cohort/detail/socket/socket_file.hpp>
#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/endpoint.hpp>
#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>

#include <cerrno>
#include <memory>
#include <utility>

#include <fcntl.h>

namespace cohort::detail {

/// Several may accept. A Unix socket's file goes with it.
class OwnListener {
public:
    /// `inherited`: the socket that listens there already; its file is another process's until take_over().
    OwnListener(const asio::any_io_executor& executor, const Endpoint& endpoint, UniqueFd inherited)
        : is_lent_(inherited),
          socket_(executor, inherited ? std::move(inherited) : open(endpoint)),
          endpoint_(bound_endpoint(socket_.get(), endpoint)) {
        if (!is_lent_) file_ = SocketFile(endpoint_);
    }
    OwnListener(const OwnListener&) = delete;
    OwnListener& operator=(const OwnListener&) = delete;
    ~OwnListener() { close(); }

    /// The next connection; an empty one after close(). It cannot be cancelled between accepting and the return of the
    /// caller, provided the caller does not suspend either.
    static Task<UniqueFd> accept(std::shared_ptr<OwnListener> self);
    void close() noexcept;
    void take_over() {
        if (std::exchange(is_lent_, false)) file_ = SocketFile(endpoint_);
    }
    void leave_to_others() noexcept {
        file_.release();
        close();
    }

    bool is_open() const noexcept { return socket_.is_open(); }
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

    bool is_lent_;
    AsyncFd socket_;
    Endpoint endpoint_;
    TurnBudget turn_;
    SocketFile file_;
    UniqueFd spare_ = null_device();
};

} // namespace cohort::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/detail/async/own_listener.ipp>
#endif
