// SPDX-License-Identifier: MIT
// FrameStream: frames over a transport, coalesced both ways, without knowing what is in them (layer 3).
#pragma once

#include <cohort/detail/async/notifier.hpp>
#include <cohort/detail/channel/frame.hpp>
#include <cohort/detail/channel/frame_writer.hpp>
#include <cohort/detail/channel/stream_limits.hpp>
#include <cohort/detail/channel/transport.hpp>

#include <asio/this_coro.hpp>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <span>

namespace cohort::detail {

/// A FrameWriter that also reads, and ends both. Reading happens only when somebody asks, so a slow reader is the
/// sender's backpressure.
class FrameStream : public FrameWriter {
public:
    FrameStream(const asio::any_io_executor& executor, std::unique_ptr<Transport> transport, StreamLimits limits)
        : FrameWriter(executor, std::move(transport), limits), arrival_(executor), reader_(limits.max_length) {}
    virtual ~FrameStream() = default;

    std::shared_ptr<FrameStream> shared_from_this() {
        return std::static_pointer_cast<FrameStream>(FrameWriter::shared_from_this());
    }

    /// The first frame received and not yet consumed; it is valid until the next call. Throws on bytes that no peer
    /// sends; the stream is broken then.
    std::optional<Frame> front();
    /// The descriptors that came with a frame, until it is consumed. Throws Errc::bad_frame when their number is wrong.
    Passed& passed(const Frame& frame) { return passed(frame, 0); }
    void consume(const Frame& frame) noexcept;
    /// Waits for more bytes. False: the other side has ended. Several may wait. Cancelling loses nothing.
    Task<bool> fill();
    /// Takes in whatever the kernel has now. For a peer that is dead.
    void drain();
    bool ended() const noexcept { return ended_; }

    /// finish(), and nothing more is received; the socket goes when the last frame is the kernel's.
    void close();
    /// At once: what is queued is dropped, waits end.
    void abort();

protected:
    virtual void on_arrival() {}
    /// Nothing more will come, for this reason.
    virtual void on_end(std::error_code) {}
    /// Whether bytes are to be read although nobody waits in fill().
    virtual bool wants_more() const noexcept { return false; }
    /// Reads in the background, for as long as wants_more().
    void read_ahead();
    std::span<const std::byte> received() const noexcept { return in_.bytes(); }
    /// The descriptors of a frame before which `sets` others with descriptors stand.
    Passed& passed(const Frame& frame, std::size_t sets);

private:
    static constexpr std::size_t read_size = std::size_t{64} << 10;
    static constexpr std::size_t max_passed_ahead = 1024; // sets of descriptors whose frames have not come

    bool read_some();
    void stopped_reading();
    void look_ahead();

    Notifier arrival_;
    FrameReader reader_;
    Buffer in_;
    std::deque<Passed> passed_;
    bool reading_ = false; // somebody waits for the socket to be readable
    bool emptied_ = false; // the last read left nothing in the socket
    bool ended_ = false;   // nothing more can be received
};

inline std::optional<Frame> FrameStream::front() {
    std::error_code error;
    auto frame = reader_.next(in_.bytes(), error);
    if (error) throw std::system_error(error);
    return frame;
}

inline Passed& FrameStream::passed(const Frame& frame, std::size_t sets) {
    if (passed_.size() <= sets) transport().collect(passed_);
    if (passed_.size() <= sets) throw std::system_error(make_error_code(Errc::bad_frame));
    Passed& set = passed_[sets];
    if (!set.lost && set.descriptors.size() != frame.header.descriptors)
        throw std::system_error(make_error_code(Errc::bad_frame));
    return set;
}

inline void FrameStream::consume(const Frame& frame) noexcept {
    if (frame.header.descriptors != 0 && !passed_.empty()) passed_.pop_front();
    in_.consume(sizeof(FrameHeader) + frame.header.length);
    in_.shrink(4 * read_size);
}

/// Whether there was something; the end of the other side, also when it went with our bytes unread, is remembered.
inline bool FrameStream::read_some() {
    const std::size_t wanted = std::max(read_size, reader_.missing());
    std::byte* const space = in_.prepare(wanted);
    const std::size_t room = in_.room();
    ssize_t count = 0;
    do {
        count = transport().read({space, room}, passed_);
    } while (count < 0 && errno == EINTR);
    emptied_ = count >= 0 && static_cast<std::size_t>(count) < room;
    if (count > 0) {
        in_.commit(static_cast<std::size_t>(count));
        if (passed_.size() > max_passed_ahead) throw std::system_error(make_error_code(Errc::bad_frame));
        return true;
    }
    if (count == 0 || errno == ECONNRESET)
        ended_ = true;
    else if (!would_block(errno))
        throw_last_error("recv");
    return false;
}

/// One of those who wait watches the socket; the others wait for what it finds.
inline Task<bool> FrameStream::fill() {
    const auto self = shared_from_this();
    while (is_open() && !ended_) {
        if (reading_) {
            co_await arrival_.wait();
            co_return !ended_;
        }
        // A read that found little has found all: asking again at once would be a system call for nothing.
        if (!std::exchange(emptied_, false) && read_some()) {
            on_arrival();
            read_ahead();
            co_return true;
        }
        if (ended_) break;
        if (limits().spin.count() != 0) flush_before_spinning();
        if (!transport().may_wait_to_read()) continue;
        std::error_code error;
        reading_ = true;
        try {
            co_await transport().socket().readable(error);
        } catch (...) {
            stopped_reading();
            throw;
        }
        stopped_reading();
        const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
        throw_if_cancelled(cancellation);
        // Without that, it was the transport that ended the wait, to have the reader look again.
        if (error && error != asio::error::operation_aborted && !ended_) throw std::system_error(error);
        begin_turn();
    }
    on_end(std::make_error_code(std::errc::connection_reset));
    co_return false;
}

/// Somebody else goes on: another who waits, or the background.
inline void FrameStream::stopped_reading() {
    reading_ = false;
    transport().waited_to_read();
    arrival_.notify_all();
    read_ahead();
}

inline void FrameStream::read_ahead() {
    if (reading_ || ended_ || !is_open() || !wants_more()) return;
    reading_ = true;
    const auto look = [self = shared_from_this()](std::error_code) {
        self->reading_ = false;
        self->transport().waited_to_read();
        self->look_ahead();
    };
    if (transport().may_wait_to_read())
        transport().socket().async_readable(look);
    else
        asio::post(executor(), [look] { look({}); });
}

inline void FrameStream::look_ahead() {
    if (!is_open() || ended_) return;
    try {
        if (read_some()) on_arrival();
    } catch (const std::system_error& error) {
        on_end(error.code());
    }
    if (ended_) on_end(std::make_error_code(std::errc::connection_reset));
    arrival_.notify_all();
    read_ahead();
}

inline void FrameStream::drain() {
    while (is_open() && !ended_ && read_some()) {
    }
    on_arrival();
    ended_ = true; // also when somebody the peer had started still holds its end open
    on_end(std::make_error_code(std::errc::connection_reset));
    if (is_open()) transport().socket().cancel();
    arrival_.notify_all();
}

// Ending

inline void FrameStream::close() {
    ended_ = true;
    close_when_written();
    in_.clear();
    passed_.clear();
    on_end(make_error_code(Errc::closed));
    finish();
    if (nothing_queued())
        transport().socket().close();
    else if (is_open())
        transport().socket().cancel();
    arrival_.notify_all();
}

inline void FrameStream::abort() {
    ended_ = true;
    in_.clear();
    passed_.clear();
    on_end(make_error_code(Errc::closed));
    fail(Errc::closed);
    transport().socket().close();
    arrival_.notify_all();
}

} // namespace cohort::detail
