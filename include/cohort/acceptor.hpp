// SPDX-License-Identifier: MIT
// What a server needs of a listener: a place where connections come from (layer 3).
#pragma once

#include <cohort/detail/control/counted_connection.hpp>
#include <cohort/detail/system/unique_fd.hpp>
#include <cohort/task.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/generic/stream_protocol.hpp>

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace cohort {

class Handle;

/// A connected stream socket, TCP or Unix. It belongs to whoever holds it. One that a Listener gave counts as one of
/// its worker's connections until it is destroyed.
class Socket : public asio::generic::stream_protocol::socket {
public:
    using Base = asio::generic::stream_protocol::socket;
    using Base::Base;
    Socket(Base&& socket, detail::CountedConnection counted = {}, std::string state = {}) noexcept
        : Base(std::move(socket)), counted_(std::move(counted)), state_(std::move(state)) {}

    /// What the worker that had it before has left for this one (Listener::hand_over); empty for a new connection.
    const std::string& state() const noexcept { return state_; }
    /// Releases the descriptor; it no longer counts for this worker. Pending operations end with operation_aborted.
    [[nodiscard]] detail::UniqueFd take();

    /// For servers: what is returned counts as one request (SlotStats::requests, Recycle::requests) that is under way
    /// until it is destroyed, and as what it is (RequestInfo). It may outlive the socket.
    [[nodiscard]] detail::OngoingRequest begin_request(std::string_view what = {}) noexcept {
        return begin_request(detail::RequestNote{.method = what, .target = {}, .client = {}, .socket = -1});
    }
    [[nodiscard]] detail::OngoingRequest begin_request(detail::RequestNote note) noexcept {
        note.socket = native_handle();
        return counted_.begin_request(note);
    }

    /// For servers: an HTTP response with this status is being sent (Totals::responses).
    void count_response(int status) noexcept { counted_.count_response(status); }

private:
    detail::CountedConnection counted_;
    std::string state_;
};

/// Makes a Socket from a Handle received in a message. Errors: ENOTSOCK, EBADF; EPROTOTYPE: not a stream socket.
Socket to_socket(const asio::any_io_executor& executor, Handle handle);

/// Anything that yields connections: `co_await accept()` gives the next one, or nothing when no more will come
/// (closed, or draining because the process is to stop). A `bool stopping()`, if there is one, says that without
/// accepting; a `std::chrono::milliseconds patience()`, for how long a server that drains may keep connections that
/// cannot be handed over, see Listener::patience.
template <class A>
concept Acceptor = requires(A& acceptor) {
    { acceptor.accept() } -> std::same_as<Task<std::optional<Socket>>>;
};

/// An Acceptor that can hand open connections to other workers: Listener, when its worker leaves and others go on.
template <class A>
concept HandsOver = Acceptor<A> && requires(A& acceptor, Socket& socket, std::string state) {
    { acceptor.hands_over() } -> std::same_as<bool>;
    { acceptor.hand_over(socket, state) } -> std::same_as<bool>;
};

} // namespace cohort

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/acceptor.ipp>
#endif
