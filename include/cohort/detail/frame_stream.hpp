// SPDX-License-Identifier: MIT
// FrameStream: frames over a stream socket, coalesced both ways, without knowing what is in them (layer 3).
#pragma once

#include <cohort/detail/async_fd.hpp>
#include <cohort/detail/frame.hpp>
#include <cohort/detail/notifier.hpp>
#include <cohort/detail/posix.hpp>

#include <algorithm>
#include <chrono>
#include <memory>

#include <poll.h>

namespace cohort::detail {

/// What a channel may hold and accept.
struct StreamLimits {
    std::size_t max_length = std::size_t{16} << 20;  ///< bytes of one message, both ways
    std::size_t high_water = std::size_t{128} << 10; ///< bytes queued for writing beyond which senders wait
};

/// Writing: the first frame of a turn of the event loop goes to the kernel at once, what follows in the same turn goes
/// together at its end. Reading happens only when somebody asks, so a slow reader is the sender's backpressure.
/// Shared by its channel and by its own writes under way.
class FrameStream : public std::enable_shared_from_this<FrameStream> {
public:
    FrameStream(const asio::any_io_executor& executor, UniqueFd socket, StreamLimits limits)
        : socket_(executor, std::move(socket)), room_(executor), reader_(limits.max_length), limits_(limits) {}

    /// Queues a frame whose payload `fill(Buffer&)` appends. Throws what fill throws, Errc::closed after close(), and
    /// EPIPE or ECONNRESET when the other side is gone; then nothing was queued.
    template <class Fill>
    void push(FrameKind kind, Fill&& fill);

    /// False after finish(), close(), abort(), and when the other side is known to be gone.
    bool can_send() const noexcept { return !error_; }
    /// Waits while more than the high-water mark is queued. Throws why nothing can be sent any more, if that is so.
    Task<> room();
    bool has_room() const noexcept { return out_.size() <= limits_.high_water || error_; }
    /// Waits until everything queued is the kernel's.
    Task<> flush();
    /// The same, holding the whole process up, for at most `timeout`: for the way out of a process.
    void flush_now(std::chrono::milliseconds timeout) noexcept;

    /// The first frame received and not yet consumed; it is valid until the next call. Throws on bytes that no peer
    /// sends; the stream is broken then.
    std::optional<Frame> front();
    void consume(const Frame& frame) noexcept;
    /// Waits for more bytes. False: the other side has ended. Cancelling loses nothing.
    Task<bool> fill();
    /// Takes in whatever the kernel has now. For a peer that is dead.
    void drain();
    bool ended() const noexcept { return ended_; }

    /// No more frames are sent; those queued still go out. The other side sees the end behind them.
    void finish();
    /// finish(), and nothing more is received; the socket goes when the last frame is the kernel's.
    void close();
    /// At once: what is queued is dropped, waits end.
    void abort();
    bool is_open() const noexcept { return socket_.is_open(); }
    int native_handle() const noexcept { return socket_.get(); }

private:
    static constexpr std::size_t read_size = std::size_t{64} << 10;

    void flush_later();
    void write_some();
    void wait_writable();
    void written(std::size_t count);
    void fail(std::error_code error);
    ssize_t read_some();
    bool took_bytes(ssize_t count);

    AsyncFd socket_;
    Notifier room_;
    FrameReader reader_;
    StreamLimits limits_;
    Buffer out_;
    Buffer in_;
    std::error_code error_; // why nothing can be sent any more
    bool waiting_ = false;  // for the kernel to take more
    bool wrote_ = false;    // a frame went out at once in what may still be this turn
    bool flushing_ = false; // what followed it goes out at the end of this turn
    bool emptied_ = false;  // the last read left nothing in the socket
    bool finishing_ = false;
    bool closing_ = false;
    bool ended_ = false; // nothing more can be received
};

template <class Fill>
void FrameStream::push(FrameKind kind, Fill&& fill) {
    if (error_) throw std::system_error(error_);
    append_frame(out_, kind, limits_.max_length, std::forward<Fill>(fill));
    if (waiting_ || flushing_) return;
    if (wrote_) return flush_later();
    wrote_ = true;
    write_some();
}

inline void FrameStream::flush_later() {
    flushing_ = true;
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
        self->flushing_ = self->wrote_ = false;
        if (!self->waiting_ && !self->out_.empty()) self->write_some();
    });
}

inline void FrameStream::write_some() {
    while (!out_.empty() && socket_.is_open()) {
        const ssize_t count = System::current().send(socket_.get(), out_.data(), out_.size());
        if (count >= 0) {
            written(static_cast<std::size_t>(count));
        } else if (would_block(errno)) {
            return wait_writable();
        } else if (errno != EINTR) {
            return fail(last_error());
        }
    }
    out_.shrink(2 * limits_.high_water);
    if (finishing_ && socket_.is_open()) ::shutdown(socket_.get(), SHUT_WR);
    if (closing_) socket_.close();
}

inline void FrameStream::written(std::size_t count) {
    const bool was_full = !has_room();
    out_.consume(count);
    if ((was_full && has_room()) || out_.empty()) room_.notify_all();
}

inline void FrameStream::wait_writable() {
    waiting_ = true;
    socket_.async_writable([self = shared_from_this()](std::error_code) {
        self->waiting_ = false;
        // Also after a cancellation: that was meant for the readers.
        self->write_some();
    });
}

inline void FrameStream::fail(std::error_code error) {
    error_ = error;
    out_.clear();
    room_.notify_all();
}

inline Task<> FrameStream::room() {
    const auto self = shared_from_this();
    while (!has_room()) co_await room_.wait();
    if (error_) throw std::system_error(error_);
}

inline Task<> FrameStream::flush() {
    const auto self = shared_from_this();
    while (!out_.empty()) {
        if (!waiting_) write_some();
        if (!out_.empty()) co_await room_.wait();
    }
    if (error_ && error_ != Errc::closed) throw std::system_error(error_);
}

inline void FrameStream::flush_now(std::chrono::milliseconds timeout) noexcept {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (!out_.empty() && socket_.is_open()) {
        const ssize_t count = System::current().send(socket_.get(), out_.data(), out_.size());
        if (count >= 0) {
            out_.consume(static_cast<std::size_t>(count));
        } else if (would_block(errno)) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
            pollfd writable{socket_.get(), POLLOUT, 0};
            if (left.count() <= 0 || ::poll(&writable, 1, static_cast<int>(left.count())) == 0) return;
        } else if (errno != EINTR) {
            return;
        }
    }
}

inline std::optional<Frame> FrameStream::front() {
    std::error_code error;
    auto frame = reader_.next(in_.bytes(), error);
    if (error) throw std::system_error(error);
    return frame;
}

inline void FrameStream::consume(const Frame& frame) noexcept {
    in_.consume(sizeof(FrameHeader) + frame.header.length);
    in_.shrink(4 * read_size);
}

inline ssize_t FrameStream::read_some() {
    const std::size_t wanted = std::max(read_size, reader_.missing());
    std::byte* const space = in_.prepare(wanted);
    const std::size_t room = in_.room();
    ssize_t count = 0;
    do {
        count = System::current().recv(socket_.get(), space, room);
    } while (count < 0 && errno == EINTR);
    emptied_ = count >= 0 && static_cast<std::size_t>(count) < room;
    if (count > 0) in_.commit(static_cast<std::size_t>(count));
    return count;
}

/// Whether there was something; the end of the other side, also when it went with our bytes unread, is remembered.
inline bool FrameStream::took_bytes(ssize_t count) {
    if (count > 0) return true;
    if (count == 0 || errno == ECONNRESET)
        ended_ = true;
    else if (!would_block(errno))
        throw_last_error("recv");
    return false;
}

inline Task<bool> FrameStream::fill() {
    const auto self = shared_from_this();
    while (socket_.is_open() && !ended_) {
        // A read that found little has found all: asking again at once would be a system call for nothing.
        if (!std::exchange(emptied_, false) && took_bytes(read_some())) co_return true;
        if (ended_) break;
        std::error_code error;
        co_await socket_.readable(error);
        if (error && !ended_) throw std::system_error(error);
        wrote_ = false; // a new turn has begun
    }
    co_return false;
}

inline void FrameStream::drain() {
    while (socket_.is_open() && !ended_ && took_bytes(read_some())) {
    }
    ended_ = true; // also when somebody the peer had started still holds its end open
    if (socket_.is_open()) socket_.cancel();
}

inline void FrameStream::finish() {
    if (error_) return;
    error_ = Errc::closed;
    finishing_ = true;
    if (!waiting_) write_some();
    room_.notify_all();
}

inline void FrameStream::close() {
    closing_ = ended_ = true;
    in_.clear();
    finish();
    if (out_.empty())
        socket_.close();
    else if (socket_.is_open())
        socket_.cancel();
}

inline void FrameStream::abort() {
    ended_ = true;
    in_.clear();
    fail(Errc::closed);
    socket_.close();
}

} // namespace cohort::detail
