// SPDX-License-Identifier: MIT
// ChannelAcceptor<T>: channels between programs that find each other by a path (layer 3).
#pragma once

#include <cohort/channel.hpp>
#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/endpoint.hpp>
#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>

#include <memory>
#include <optional>
#include <utility>

#include <sys/types.h>

namespace cohort {

/// A Unix socket's peer, as of its connect(2) or listen(2).
struct PeerCredentials {
    pid_t pid = 0; ///< 0 when it is of another PID namespace; the process may be gone since
    uid_t uid = 0;
    gid_t gid = 0;
};

/// As the kernel says it (SO_PEERCRED, unix(7)): the other side cannot pretend. Throws std::system_error: ENOTCONN,
/// EBADF, ENOTSOCK.
PeerCredentials peer_credentials(int socket);

namespace detail {

class OwnListener;

/// Listens on the path until it is closed. `inherited`: the socket that does so already; its file is another process's
/// until take_over().
std::shared_ptr<OwnListener> listen_on_path(const asio::any_io_executor& executor, const Endpoint& endpoint,
                                            UniqueFd inherited = {});
/// The next connection; an empty one after close(). It cannot be cancelled between accepting and the return of the
/// caller, provided the caller does not suspend either.
Task<UniqueFd> accept_from(std::shared_ptr<OwnListener> listener);
void close(OwnListener& listener) noexcept;
void take_over(OwnListener& listener);
/// Closes it here; another process listens on.
void leave_to_others(OwnListener& listener) noexcept;
int descriptor_of(const OwnListener& listener) noexcept;
const Endpoint& endpoint_of(const OwnListener& listener) noexcept;
asio::any_io_executor executor_of(OwnListener& listener) noexcept;

} // namespace detail

/// Accepts channels on the path of a Unix socket. The other side is Channel<T>::connect(), with the same T; with
/// Duplex<A, B> here it is Duplex<B, A> there.
///
/// Whoever may write to the file may connect: its mode is the Endpoint's, 0600 unless said otherwise. A file that
/// nobody serves any more is replaced; at the end the file is removed. Lives on one event loop.
///
///     ChannelAcceptor<Job> acceptor(io.get_executor(), Endpoint::unix_path("/run/jobs.sock", 0660));
///     while (auto client = co_await acceptor.accept())
///         if (client->peer.uid == ::getuid()) start(std::move(client->channel));
template <class T, class Via = UnixStream>
class ChannelAcceptor {
public:
    struct Accepted {
        Channel<T, Via> channel;
        PeerCredentials peer;
    };

    /// Errors, as std::system_error: EADDRINUSE when somebody serves this path, or a file of another kind is there;
    /// EACCES, ENOENT, ENAMETOOLONG; Errc::bad_endpoint when it is no path.
    ChannelAcceptor(const asio::any_io_executor& executor, const Endpoint& unix_endpoint, ChannelLimits limits = {})
        : listener_(detail::listen_on_path(executor, unix_endpoint)), limits_(limits) {}
    ChannelAcceptor(ChannelAcceptor&&) = default;
    ChannelAcceptor& operator=(ChannelAcceptor&& other) noexcept {
        if (listener_ && listener_ != other.listener_) detail::close(*listener_);
        listener_ = std::move(other.listener_);
        limits_ = other.limits_;
        return *this;
    }
    ~ChannelAcceptor() {
        if (listener_) detail::close(*listener_);
    }

    /// The next channel; nothing after close(). If the client uses other message types, or is no cohort program, the
    /// first use of the channel reports it. Several may wait. Cancelling (a timeout, `||`) loses no connection. While
    /// descriptors or memory run short, clients wait.
    [[nodiscard]] Task<std::optional<Accepted>> accept() { return accept(listener_, limits_); }

    /// Clients that were not accepted see the end of their channels. A channel that was accepted goes on.
    void close() { detail::close(*listener_); }
    const Endpoint& endpoint() const noexcept { return detail::endpoint_of(*listener_); }

private:
    static Task<std::optional<Accepted>> accept(std::shared_ptr<detail::OwnListener> listener, ChannelLimits limits) {
        auto connection = co_await detail::accept_from(listener);
        if (!connection) co_return std::nullopt;
        const PeerCredentials peer = peer_credentials(connection.get());
        Accepted accepted{Channel<T, Via>::accepted(detail::executor_of(*listener), std::move(connection), limits),
                          peer};
        co_return accepted;
    }

    std::shared_ptr<detail::OwnListener> listener_;
    ChannelLimits limits_;
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/channel_acceptor.ipp>
#endif
