// SPDX-License-Identifier: MIT
// The socket of a connection with its buffers and its deadline (layer 3).
#pragma once

#include <cohort/acceptor.hpp>
#include <cohort/detail/serialize/buffer.hpp>
#include <cohort/http/detail/serve/server.hpp>
#include <cohort/http/detail/serve/stream_layer.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/buffer.hpp>
#include <asio/cancellation_signal.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace cohort::http::detail {

/// Reads into `in`, writes from `out`. A write is tried at once and waits only when the kernel's buffer is full; a read
/// waits for the reactor, so a request costs one of each and nothing else.
class ConnectionStream : public TimedConnection {
public:
    ConnectionStream(std::shared_ptr<Server> server, Socket socket);

    ~ConnectionStream() {
        end();
        server_->ended(*this);
    }

    Server& server() const noexcept { return *server_; }
    asio::cancellation_slot slot() noexcept { return cancel_.slot(); }
    asio::any_io_executor executor() { return server_->executor(); }

    Socket& socket() noexcept { return socket_; }

    /// Until the first byte is there, and without reading it. The errors are those of read().
    Task<> wait_for_input(std::uint64_t deadline, std::error_code& error);

    /// Does the handshake of a layer; from then on all bytes pass through it.
    Task<> open_layer(std::unique_ptr<StreamLayer> layer, std::uint64_t deadline, std::error_code& error);
    bool has_layer() const noexcept { return layer_ != nullptr; }

    std::string_view received() const noexcept { return {reinterpret_cast<const char*>(in_.data()), in_.size()}; }
    void consume(std::size_t count) noexcept { in_.consume(count); }
    [[nodiscard]] cohort::detail::OngoingRequest begin_request(const cohort::detail::RequestNote& note) noexcept {
        return socket_.begin_request(note);
    }

    std::string& out() noexcept { return out_; }
    const std::string& out() const noexcept { return out_; }
    bool unsent() const noexcept { return out_.size() != sent_; }

    /// Whether the client can send no more.
    bool input_ended() const noexcept { return input_ended_; }

    /// Reads once, waiting at most until `deadline`. Gives 0 and an error when there is nothing: end of file,
    /// timed_out, operation_aborted for an interruption, or what the socket reports.
    Task<std::size_t> read(Waiting what, std::uint64_t deadline, std::size_t room, std::error_code& error);

    /// The same in two halves, which spares the path of every request a coroutine frame.
    Task<std::size_t> begin_read(Waiting what, std::uint64_t deadline, std::size_t room, std::error_code& error);
    void end_read(std::size_t count, std::error_code& error) noexcept;

    /// Reads what has arrived already; waits only for the rest of a record of the layer.
    Task<std::size_t> read_rest();

    /// Waits for the next byte without holding a buffer or a coroutine: `then` is called when there is one, when the
    /// deadline has passed or when the wait was interrupted, and calls end_wait() first. Throws std::bad_alloc.
    template <class F>
    void wait_readable(Waiting what, std::uint64_t deadline, F then) {
        server_->begin_waiting(*this, what, deadline);
        auto cancellable = asio::bind_cancellation_slot(slot(), std::move(then));
        socket_.async_wait(Socket::wait_read, asio::bind_executor(server_->executor(), std::move(cancellable)));
    }
    /// Whether the deadline has passed.
    bool end_wait() noexcept { return end_waiting(); }

    /// Hands `out` and then `tail` to the kernel as far as it takes them; would_block when not all of them.
    std::error_code send_now(std::string_view& tail);

    /// Whether `out` could be sent without waiting. A failure shows again at the next write.
    bool send_at_once() {
        std::string_view nothing;
        return !send_now(nothing);
    }

    /// Sends all of `out` and then `tail`. Throws std::system_error; timed_out when the client takes nothing.
    Task<> send(std::string_view tail = {});

    /// Sends only `bytes`, while another coroutine may be waiting in read().
    Task<> send_beside_reading(std::string_view bytes);

    /// Ends what the layer has to end; the client may have to answer that.
    Task<> close_layer();

    /// Tells the client that nothing more will come, and reads on for a while: closing with unread bytes would reset
    /// the connection and destroy the answer on its way.
    Task<> linger();

    /// What the previous server of this connection has left for this one; empty for a new connection.
    const std::string& state() const noexcept { return socket_.state(); }
    /// Gives the connection to another server. False when it stays here.
    bool hand_over(std::string state) { return server_->hand_over(socket_, std::move(state)); }

    /// Ends the connection for everybody who holds a copy of the descriptor.
    void end() noexcept;

    /// Gives the memory back that an idle connection does not need.
    void release_buffers() {
        in_.shrink(0);
        if (!unsent()) std::string{}.swap(out_), sent_ = 0;
    }

    /// Gives back what only a large body needed.
    void trim_buffers() {
        in_.shrink(usual_room);
        if (!unsent() && out_.capacity() > 4 * usual_room) std::string{}.swap(out_), sent_ = 0;
    }

    static constexpr std::size_t usual_room = 4096;

private:
    std::uint64_t quiet_time() const noexcept;
    Task<> send_through_layer(std::string_view tail);
    void cancel_waiting() override {
        std::error_code ignored;
        if (!writing_beside_) socket_.cancel(ignored); // cancel() ends all operations on the socket
    }
    void cancel_all() override { cancel_.emit(asio::cancellation_type::terminal); }

    void sent(std::size_t count, std::string_view& tail) noexcept;

    asio::mutable_buffer space(std::size_t room) {
        std::byte* const at = in_.prepare(room);
        return asio::buffer(at, in_.room());
    }

    std::shared_ptr<Server> server_;
    Socket socket_;
    asio::cancellation_signal cancel_;
    std::unique_ptr<StreamLayer> layer_;
    cohort::detail::Buffer in_;
    std::string out_;
    std::size_t sent_ = 0;
    bool input_ended_ = false;
    bool half_closed_ = false;
    bool writing_beside_ = false;
};

} // namespace cohort::http::detail

#if !defined(COHORT_SEPARATE_COMPILATION)
#include <cohort/http/detail/serve/connection_stream.ipp>
#endif
